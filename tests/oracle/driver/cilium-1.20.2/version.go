package main

import (
	"errors"
	"sync"

	"github.com/cilium/hive/cell"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/cilium/cilium/pkg/endpoint/regeneration"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/k8s"
	"github.com/cilium/cilium/pkg/k8s/resource"
	slim_corev1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/core/v1"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/types"
	"github.com/cilium/cilium/pkg/u8proto"
)

// What Cilium 1.20 calls differently from 1.19.

var watcherOfVersion = cell.Provide(
	func() resource.Resource[*policyv1alpha2.ClusterNetworkPolicy] { return nil },
)

func allowLocalhostAlways() {
	option.Config.UnsafeDaemonConfigOption.AllowLocalhost = option.AllowLocalhostAlways
}

// portTable is the agent's table of all named ports of the cluster.
type portTable interface {
	types.NamedPortMultiMap
	Update(id identity.NumericIdentity, old, new types.NamedPortMap) bool
}

func newPortTable() portTable { return types.NewNamedPortMultiMap() }

func podMetadata(ns *slim_corev1.Namespace, pod *slim_corev1.Pod) (types.NamedPortMap, labels.Labels) {
	ports, found := k8s.GetPodMetadata(logger, ns, pod)
	return ports, labels.Map2Labels(found, labels.LabelSourceK8s)
}

// withPortLabels: since 1.20 a new endpoint carries its named ports in its identity.
func withPortLabels(l labels.Labels, ports types.NamedPortMap) labels.Labels {
	for _, label := range k8s.NamedPortsIdentityLabels(ports) {
		l[label.Key] = label
	}
	return l
}

func registerPorts(all portTable, id identity.NumericIdentity, ports types.NamedPortMap) {
	all.Update(id, nil, ports)
}

type namedPorts struct{ types.NamedPortMultiMap }

func (n namedPorts) GetNamedPorts() types.NamedPortMultiMap { return n.NamedPortMultiMap }

func prepareRepository(r *policy.Repository, s *stage) {
	r.SetNamedPortsGetter(namedPorts{s.ports})
}

func (e *engine) selectorPolicy(_ *owner, i *identity.Identity) policy.SelectorPolicy {
	e.identities.Add(i)
	var done sync.WaitGroup
	e.repository.GetSubjectSelectorCache().UpdateIdentities(identity.IdentityMap{i.ID: i.LabelArray}, nil, &done)
	done.Wait()
	p, _, err := e.repository.ComputeSelectorPolicy(i)
	if err != nil {
		panic(errors.Join(errGivesUp, err))
	}
	return p
}

func redirects(*owner, policy.SelectorPolicy) map[string]uint16 {
	return map[string]uint16{policy.FallbackRedirectID: anyProxyPort}
}

func (o *owner) GetIngressNamedPort(name string, proto u8proto.U8proto) uint16 {
	port, _ := o.ports.GetNamedPort(name, proto)
	return port
}

func (o *owner) GetID() uint64                               { return o.id }
func (o *owner) PolicyDebug(string, ...any)                  {}
func (o *owner) IsHost() bool                                { return false }
func (o *owner) MapStateSize() int                           { return 0 }
func (o *owner) PreviousMapState() *policy.MapState          { return nil }
func (o *owner) PreviousMapStateSizes() policy.MapStateSizes { return policy.MapStateSizes{} }

func (o *owner) RegenerateIfAlive(*regeneration.ExternalRegenerationMetadata) <-chan bool {
	done := make(chan bool)
	close(done)
	return done
}
