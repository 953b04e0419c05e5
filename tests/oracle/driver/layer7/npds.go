package main

import (
	"context"

	cilium "github.com/cilium/proxy/go/cilium/api"

	"github.com/cilium/hive/cell"

	"github.com/cilium/cilium/pkg/crypto/certificatemanager"
	"github.com/cilium/cilium/pkg/endpointstate"
	"github.com/cilium/cilium/pkg/envoy"
	"github.com/cilium/cilium/pkg/hive"
	"github.com/cilium/cilium/pkg/ipcache"
	k8sclient "github.com/cilium/cilium/pkg/k8s/client"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/promise"
	"github.com/cilium/cilium/pkg/proxy/accesslog"
)

// The policy that Envoy gets (NPDS), made by Cilium's own xDS server. Its constructor is not
// exported, but the hive cell provides its interface; the hive is populated and never started, so
// there are no sockets and no Envoy.

type noAccessLog struct{}

func (noAccessLog) NewLogRecord(context.Context, accesslog.FlowType, bool, ...accesslog.LogTag) (*accesslog.LogRecord, error) {
	return nil, nil
}
func (noAccessLog) Log(*accesslog.LogRecord) {}

type kubernetesIsOff struct{ k8sclient.Clientset }

func (kubernetesIsOff) IsEnabled() bool { return false }

func newXDS() (server envoy.XDSServer) {
	option.Config.EnableL7Proxy = false // newEnvoyXDSServer then appends no start hooks
	defer func() { option.Config.EnableL7Proxy = true }()
	h := hive.New(
		envoy.Cell,
		cell.Provide(
			func() *ipcache.IPCache { return nil },
			func() promise.Promise[endpointstate.Restorer] { return nil },
			func() accesslog.ProxyAccessLogger { return noAccessLog{} },
			func() k8sclient.Clientset { return kubernetesIsOff{} },
			func() certificatemanager.SecretManager { return certificatemanager.NewMockSecretManagerNotFound() },
		),
		cell.Invoke(func(s envoy.XDSServer) { server = s }),
	)
	must(h.Populate(logger))
	return server
}

func npds(server envoy.XDSServer, o *owner, p *policy.EndpointPolicy) *cilium.NetworkPolicy {
	err, _ := server.UpdateNetworkPolicy(o, p, nil)
	must(err)
	name := o.GetPolicyNames()[0]
	all, err := server.GetNetworkPolicies([]string{name})
	must(err)
	if all[name] == nil {
		panic("the xDS server made no policy for endpoint " + name)
	}
	return all[name]
}
