package main

import (
	"encoding/json"
	"net/netip"

	ipcachetypes "github.com/cilium/cilium/pkg/ipcache/types"
	ciliumv2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	slim_corev1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/core/v1"
	slim_discoveryv1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/discovery/v1"
	slim_networkingv1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/networking/v1"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	policytypes "github.com/cilium/cilium/pkg/policy/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// cluster is what the agent knows after it has seen a case's objects.
type cluster struct {
	namespaces map[string]*slim_corev1.Namespace
	pods       map[string]*slim_corev1.Pod
	invalid    map[string]string
	rules      map[ipcachetypes.ResourceID]policytypes.PolicyEntries
	fqdns      []*api.FQDNSelector
	// prefixes that policies or CIDR groups name, with the labels an address inside them carries
	prefixes map[netip.Prefix]labels.Labels
}

func readCluster(w *watcher, objects []json.RawMessage) *cluster {
	c := &cluster{
		namespaces: map[string]*slim_corev1.Namespace{},
		pods:       map[string]*slim_corev1.Pod{},
		invalid:    map[string]string{},
	}
	var services []*slim_corev1.Service
	var slices []*slim_discoveryv1.EndpointSlice
	var policies []json.RawMessage
	for _, raw := range objects {
		switch kindOf(raw) {
		case "Namespace":
			o := decode[slim_corev1.Namespace](raw)
			c.namespaces[o.Name] = o
		case "Pod":
			o := decode[slim_corev1.Pod](raw)
			c.pods[o.Namespace+"/"+o.Name] = o
		case "Service":
			services = append(services, decode[slim_corev1.Service](raw))
		case "EndpointSlice":
			slices = append(slices, decode[slim_discoveryv1.EndpointSlice](raw))
		case "CiliumCIDRGroup":
			o := decode[ciliumv2.CiliumCIDRGroup](raw)
			must(upsert(w, w.groups, o, o))
		default:
			policies = append(policies, raw)
		}
	}
	w.addServices(services, slices)
	for _, raw := range policies {
		c.addPolicy(w, raw)
	}
	c.rules = w.importedRules()
	c.prefixes = w.groupLabels()
	for _, entries := range c.rules {
		c.learnFrom(entries)
	}
	return c
}

// addPolicy feeds a policy to the watcher; what cannot be decoded or parsed is refused whole.
func (c *cluster) addPolicy(w *watcher, raw json.RawMessage) {
	var meta metav1.PartialObjectMetadata
	must(json.Unmarshal(raw, &meta))
	var err error
	switch meta.Kind {
	case "NetworkPolicy":
		o := &slim_networkingv1.NetworkPolicy{}
		if err = json.Unmarshal(raw, o); err == nil {
			err = upsert(w, w.knps, o, o)
		}
	case "CiliumNetworkPolicy":
		o := &ciliumv2.CiliumNetworkPolicy{}
		if err = json.Unmarshal(raw, o); err == nil {
			err = upsert(w, w.cnps, o, o)
		}
	case "CiliumClusterwideNetworkPolicy":
		o := &ciliumv2.CiliumClusterwideNetworkPolicy{}
		if err = json.Unmarshal(raw, o); err == nil {
			err = upsert(w, w.ccnps, o, o)
		}
	default:
		panic("unknown kind " + meta.Kind)
	}
	if err != nil {
		c.invalid[objectKey(meta.Kind, &meta)] = err.Error()
	}
}

// learnFrom notes the prefixes and names that rules ask for: the agent gives identities to both.
func (c *cluster) learnFrom(entries policytypes.PolicyEntries) {
	for _, prefix := range policy.GetCIDRPrefixes(entries) {
		prefix = prefix.Masked()
		if c.prefixes[prefix] == nil {
			c.prefixes[prefix] = labels.Labels{}
		}
		for key, label := range labels.GetCIDRLabels(prefix) {
			if label.Source == labels.LabelSourceCIDR {
				c.prefixes[prefix][key] = label
			}
		}
	}
	for _, entry := range entries {
		for _, selector := range entry.L3 {
			if fqdn, ok := selector.GetFQDNSelector(); ok {
				c.fqdns = append(c.fqdns, fqdn)
			}
		}
	}
}

func kindOf(raw json.RawMessage) string {
	var meta metav1.TypeMeta
	must(json.Unmarshal(raw, &meta))
	return meta.Kind
}

func decode[T any](raw json.RawMessage) *T {
	o := new(T)
	must(json.Unmarshal(raw, o))
	return o
}
