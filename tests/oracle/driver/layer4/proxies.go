package main

import (
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/policy"
)

// This driver answers at layer 3 and 4 only: proxies are told nothing, and requests are not judged.

type (
	proxies struct{}
	proxied struct{}
	request struct{ *query }
)

func newRequest(q *query) *request { return &request{q} }

func newProxies() *proxies { return &proxies{} }

func (proxied) namesUnsure(policy.Key) bool { return false }

func (*endpoint) judgeRequest(*direction, *request, policy.Key) bool { return false }

// anyProxyPort stands for every proxy of the node.
const anyProxyPort = 10001

func (e *engine) compute(o *owner, i *identity.Identity) *endpoint {
	selected := e.selectorPolicy(o, i)
	ep := &endpoint{owner: o, policy: selected.DistillPolicy(logger, o, redirects(o, selected))}
	ep.policy.Ready()
	return ep
}
