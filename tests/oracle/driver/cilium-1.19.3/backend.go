package main

import (
	"net/netip"

	"github.com/cilium/statedb"

	cmtypes "github.com/cilium/cilium/pkg/clustermesh/types"
	"github.com/cilium/cilium/pkg/loadbalancer"
)

// addBackend: in 1.19.3 one backend of the table serves every Service that has its address.
func (w *watcher) addBackend(txn statedb.WriteTxn, service loadbalancer.ServiceName, address netip.Addr) error {
	at := loadbalancer.NewL3n4Addr(loadbalancer.TCP, cmtypes.AddrClusterFrom(address, 0), 0,
		loadbalancer.ScopeExternal)
	backend := &loadbalancer.Backend{Address: at}
	if known, _, ok := w.backends.Get(txn, loadbalancer.BackendByAddress(at)); ok {
		backend.Instances = known.Instances
	}
	backend.Instances = backend.Instances.Set(loadbalancer.BackendInstanceKey{ServiceName: service},
		loadbalancer.BackendParams{Address: at})
	_, _, err := w.backends.Insert(txn, backend)
	return err
}
