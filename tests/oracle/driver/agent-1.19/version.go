package main

import (
	"errors"

	"github.com/cilium/hive/cell"

	"github.com/cilium/cilium/pkg/endpoint/regeneration"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/k8s"
	slim_corev1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/core/v1"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/spanstat"
	"github.com/cilium/cilium/pkg/types"
	"github.com/cilium/cilium/pkg/u8proto"
)

// What Cilium 1.19 calls differently from 1.20.

var watcherOfVersion = cell.Group()

func allowLocalhostAlways() { option.Config.AllowLocalhost = option.AllowLocalhostAlways }

// portTable is the agent's table of all named ports of the cluster.
type portTable interface {
	types.NamedPortMultiMap
	Update(old, new types.NamedPortMap) bool
}

func newPortTable() portTable { return types.NewNamedPortMultiMap() }

func podMetadata(ns *slim_corev1.Namespace, pod *slim_corev1.Pod) (types.NamedPortMap, labels.Labels) {
	declared, found := k8s.GetPodMetadata(logger, ns, pod)
	ports := types.NamedPortMap{}
	for _, p := range declared {
		if p.Name != "" {
			_ = ports.AddPort(p.Name, int(p.ContainerPort), string(p.Protocol))
		}
	}
	return ports, labels.Map2Labels(found, labels.LabelSourceK8s)
}

// withPortLabels: identities carry no named ports before 1.20.
func withPortLabels(l labels.Labels, _ types.NamedPortMap) labels.Labels { return l }

func registerPorts(all portTable, _ identity.NumericIdentity, ports types.NamedPortMap) {
	all.Update(nil, ports)
}

func prepareRepository(*policy.Repository, *stage) {}

func (e *engine) selectorPolicy(o *owner, i *identity.Identity) policy.SelectorPolicy {
	e.identities.Add(i)
	p, _, err := e.repository.GetSelectorPolicy(i, 0, &noStatistics{}, o.id)
	if err != nil {
		panic(errors.Join(errGivesUp, err))
	}
	return p
}

type noStatistics struct{ waiting, calculating spanstat.SpanStat }

func (s *noStatistics) WaitingForPolicyRepository() *spanstat.SpanStat { return &s.waiting }
func (s *noStatistics) SelectorPolicyCalculation() *spanstat.SpanStat  { return &s.calculating }

func (o *owner) GetNamedPort(ingress bool, name string, proto u8proto.U8proto) uint16 {
	if ingress {
		port, _ := o.ports.GetNamedPort(name, proto)
		return port
	}
	port, _ := o.all.GetNamedPort(name, proto)
	return port
}

func (o *owner) GetID() uint64                      { return o.id }
func (o *owner) PolicyDebug(string, ...any)         {}
func (o *owner) IsHost() bool                       { return false }
func (o *owner) MapStateSize() int                  { return 0 }
func (o *owner) PreviousMapState() *policy.MapState { return nil }

func (o *owner) RegenerateIfAlive(*regeneration.ExternalRegenerationMetadata) <-chan bool {
	done := make(chan bool)
	close(done)
	return done
}
