package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sort"
	"strings"
	"sync"

	"github.com/cilium/hive/cell"
	"github.com/cilium/statedb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"

	cmtypes "github.com/cilium/cilium/pkg/clustermesh/types"
	"github.com/cilium/cilium/pkg/hive"
	"github.com/cilium/cilium/pkg/ipcache"
	ipcachetypes "github.com/cilium/cilium/pkg/ipcache/types"
	ciliumv2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	k8sclient "github.com/cilium/cilium/pkg/k8s/client"
	"github.com/cilium/cilium/pkg/k8s/resource"
	slim_corev1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/core/v1"
	slim_discoveryv1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/discovery/v1"
	slim_networkingv1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/networking/v1"
	"github.com/cilium/cilium/pkg/k8s/synced"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/loadbalancer"
	"github.com/cilium/cilium/pkg/logging"
	"github.com/cilium/cilium/pkg/option"
	policycell "github.com/cilium/cilium/pkg/policy/cell"
	policyk8s "github.com/cilium/cilium/pkg/policy/k8s"
	policytypes "github.com/cilium/cilium/pkg/policy/types"
)

// watcher is the agent's Kubernetes policy watcher (pkg/policy/k8s) with a hand on each of its
// inputs and outputs: objects go in as watch events, and what it sends to the policy importer and
// the IP cache is kept. So toServices, CIDR groups and refused objects are judged by the agent.
type watcher struct {
	cnps   feed[*ciliumv2.CiliumNetworkPolicy]
	ccnps  feed[*ciliumv2.CiliumClusterwideNetworkPolicy]
	groups feed[*ciliumv2.CiliumCIDRGroup]
	knps   feed[*slim_networkingv1.NetworkPolicy]

	db       *statedb.DB
	services statedb.RWTable[*loadbalancer.Service]
	backends statedb.RWTable[*loadbalancer.Backend]

	undo []func()

	mu       sync.Mutex // a service event makes the watcher import a policy again, in its own time
	imported map[ipcachetypes.ResourceID]policytypes.PolicyEntries
	prefixes map[netip.Prefix][]prefixLabels
}

// prefixLabels are the labels that one CIDR group gives to a prefix.
type prefixLabels struct {
	group  string
	labels labels.Labels
}

// feed stands in for a resource of the API server: events are handed over one at a time.
type feed[T k8sruntime.Object] chan resource.Event[T]

func (f feed[T]) Events(context.Context, ...resource.EventsOpt) <-chan resource.Event[T] { return f }

func (f feed[T]) Observe(context.Context, func(resource.Event[T]), func(error)) {
	panic("the policy watcher reads channels only")
}

func (f feed[T]) Store(context.Context) (resource.Store[T], error) {
	return nil, errors.New("the policy watcher reads channels only")
}

// send hands one event over and gives the error with which the watcher marked it done.
func (f feed[T]) send(kind resource.EventKind, key resource.Key, object T) error {
	done := make(chan error, 1)
	f <- resource.Event[T]{Kind: kind, Key: key, Object: object, Done: func(err error) { done <- err }}
	return <-done
}

// upsert feeds an object, to be deleted again when the case is over.
func upsert[T k8sruntime.Object](w *watcher, f feed[T], meta metav1.Object, object T) error {
	key := resource.Key{Name: meta.GetName(), Namespace: meta.GetNamespace()}
	w.undo = append(w.undo, func() { _ = f.send(resource.Delete, key, object) })
	return f.send(resource.Upsert, key, object)
}

type kubernetesIsOn struct{ k8sclient.Clientset }

func (kubernetesIsOn) IsEnabled() bool { return true }

func startWatcher() *watcher {
	w := &watcher{
		cnps:     make(feed[*ciliumv2.CiliumNetworkPolicy]),
		ccnps:    make(feed[*ciliumv2.CiliumClusterwideNetworkPolicy]),
		groups:   make(feed[*ciliumv2.CiliumCIDRGroup]),
		knps:     make(feed[*slim_networkingv1.NetworkPolicy]),
		imported: map[ipcachetypes.ResourceID]policytypes.PolicyEntries{},
		prefixes: map[netip.Prefix][]prefixLabels{},
	}
	logging.DefaultSlogLogger = slog.New(slog.NewTextHandler(io.Discard, nil))
	option.Config.ClusterName = clusterName
	option.Config.EnableK8sNetworkPolicy = true
	option.Config.EnableCiliumNetworkPolicy = true
	option.Config.EnableCiliumClusterwideNetworkPolicy = true
	h := hive.New(
		synced.Cell,
		policyk8s.Cell,
		watcherOfVersion,
		cell.Provide(
			func() k8sclient.Clientset { return kubernetesIsOn{} },
			func() *option.DaemonConfig { return option.Config },
			func() cmtypes.PolicyConfig { return cmtypes.DefaultPolicyConfig },
			func(db *statedb.DB) (statedb.Table[*loadbalancer.Service], error) {
				var err error
				w.db = db
				w.services, err = loadbalancer.NewServicesTable(loadbalancer.DefaultConfig, db)
				return w.services, err
			},
			func(db *statedb.DB) (statedb.Table[*loadbalancer.Backend], error) {
				var err error
				w.backends, err = loadbalancer.NewBackendsTable(db)
				return w.backends, err
			},
			func() policycell.IPCacher { return w },
			func() policycell.PolicyImporter { return w },
			func() resource.Resource[*ciliumv2.CiliumNetworkPolicy] { return w.cnps },
			func() resource.Resource[*ciliumv2.CiliumClusterwideNetworkPolicy] { return w.ccnps },
			func() resource.Resource[*ciliumv2.CiliumCIDRGroup] { return w.groups },
			func() resource.Resource[*slim_networkingv1.NetworkPolicy] { return w.knps },
			policyk8s.NewCNPMetricsNoop,
		),
	)
	must(h.Start(logger, context.Background()))
	must(w.cnps.send(resource.Sync, resource.Key{}, nil))
	must(w.ccnps.send(resource.Sync, resource.Key{}, nil))
	must(w.groups.send(resource.Sync, resource.Key{}, nil))
	must(w.knps.send(resource.Sync, resource.Key{}, nil))
	return w
}

// UpdatePolicy is the policy importer's part: policyWatcher sends what it made of an object.
func (w *watcher) UpdatePolicy(u *policytypes.PolicyUpdate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(u.Rules) == 0 {
		delete(w.imported, u.Resource)
		return
	}
	w.imported[u.Resource] = u.Rules
}

// UpsertMetadataBatch is the IP cache's part: the prefixes of a CIDR group with their labels.
func (w *watcher) UpsertMetadataBatch(updates ...ipcache.MU) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, u := range updates {
		prefix := u.Prefix.AsPrefix().Masked()
		for _, metadata := range u.Metadata {
			if l, ok := metadata.(labels.Labels); ok {
				w.prefixes[prefix] = append(w.prefixes[prefix], prefixLabels{string(u.Resource), l})
			}
		}
	}
	return 0
}

func (w *watcher) RemoveMetadataBatch(...ipcache.MU) uint64      { return 0 }
func (w *watcher) WaitForRevision(context.Context, uint64) error { return nil }
func (w *watcher) importedRules() map[ipcachetypes.ResourceID]policytypes.PolicyEntries {
	w.mu.Lock()
	defer w.mu.Unlock()
	rules := make(map[ipcachetypes.ResourceID]policytypes.PolicyEntries, len(w.imported))
	for id, entries := range w.imported {
		rules[id] = entries
	}
	return rules
}

// groupLabels gives what CIDR groups say of each prefix. The IP cache merges the labels of several
// resources in the order of their names, and the first keeps a key (pkg/ipcache/metadata.go).
func (w *watcher) groupLabels() map[netip.Prefix]labels.Labels {
	w.mu.Lock()
	defer w.mu.Unlock()
	merged := map[netip.Prefix]labels.Labels{}
	for prefix, all := range w.prefixes {
		sort.Slice(all, func(i, j int) bool { return all[i].group < all[j].group })
		merged[prefix] = labels.Labels{}
		for _, of := range all {
			for key, label := range of.labels {
				if _, taken := merged[prefix][key]; !taken && label.Source == labels.LabelSourceCIDRGroup {
					merged[prefix][key] = label
				}
			}
		}
	}
	return merged
}

// addServices fills the load-balancer tables that toServices is resolved against, as the agent's
// reflector does (pkg/loadbalancer/reflectors): a Service's labels, selector and backends.
func (w *watcher) addServices(services []*slim_corev1.Service, slices []*slim_discoveryv1.EndpointSlice) {
	txn := w.db.WriteTxn(w.services, w.backends)
	defer txn.Commit()
	for _, s := range services {
		_, _, err := w.services.Insert(txn, &loadbalancer.Service{
			Name:     loadbalancer.NewServiceName(s.Namespace, s.Name),
			Labels:   labels.Map2Labels(s.Labels, labels.LabelSourceK8s),
			Selector: s.Spec.Selector,
		})
		must(err)
	}
	for _, slice := range slices {
		name := loadbalancer.NewServiceName(slice.Namespace, slice.Labels["kubernetes.io/service-name"])
		for _, endpoint := range slice.Endpoints {
			for _, text := range endpoint.Addresses {
				must(w.addBackend(txn, name, netip.MustParseAddr(text)))
			}
		}
	}
}

// forget takes the case's objects out again.
func (w *watcher) forget() {
	for _, undo := range w.undo {
		undo()
	}
	w.undo = nil
	txn := w.db.WriteTxn(w.services, w.backends)
	must(w.services.DeleteAll(txn))
	must(w.backends.DeleteAll(txn))
	txn.Commit()
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.imported)
	clear(w.prefixes)
}

// objectKey names an object as the recorded cases do.
func objectKey(kind string, meta metav1.Object) string {
	return strings.Join([]string{kind, meta.GetNamespace(), meta.GetName()}, "/")
}
