package main

import (
	"net/netip"

	"github.com/cilium/statedb"

	cmtypes "github.com/cilium/cilium/pkg/clustermesh/types"
	"github.com/cilium/cilium/pkg/loadbalancer"
)

func (w *watcher) addBackend(txn statedb.WriteTxn, service loadbalancer.ServiceName, address netip.Addr) error {
	_, _, err := w.backends.Insert(txn, &loadbalancer.Backend{
		ServiceName: service,
		Address: loadbalancer.NewL3n4Addr(loadbalancer.TCP, cmtypes.AddrClusterFrom(address, 0), 0,
			loadbalancer.ScopeExternal),
	})
	return err
}
