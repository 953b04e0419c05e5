package main

import (
	"net/netip"
	"sort"
	"strings"

	"github.com/cilium/cilium/pkg/fqdn/dns"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/labelsfilter"
	"github.com/cilium/cilium/pkg/types"
)

// stage holds the identities of a case by the names that questions use for them.
type stage struct {
	dualStack    bool
	asksRequests bool
	cluster      *cluster
	ids          map[string]*identity.Identity
	known        identity.IdentityMap
	owners       map[string]*owner
	ports        portTable
	nextLocal    identity.NumericIdentity
}

// owner is an endpoint as pkg/policy sees it (policy.PolicyOwner, the rest in version.go).
type owner struct {
	id    uint64
	ports types.NamedPortMap
	all   types.NamedPortMultiMap
}

func newStage(c *testCase, known *cluster) *stage {
	s := &stage{
		dualStack: c.Config.DualStack,
		cluster:   known,
		ids:       map[string]*identity.Identity{},
		known:     identity.IdentityMap{},
		owners:    map[string]*owner{},
		nextLocal: identity.IdentityScopeLocal + 1,
	}
	identity.IterateReservedIdentities(func(n identity.NumericIdentity, i *identity.Identity) {
		s.ids["entity:"+strings.TrimPrefix(n.String(), "reserved:")] = i
		s.known[n] = i.LabelArray
	})
	// the API server of a cluster where it runs on a remote node
	apiserver := identity.NewIdentity(identity.ReservedIdentityKubeAPIServer,
		labels.NewLabelsFromModel([]string{"reserved:kube-apiserver", "reserved:remote-node"}))
	s.ids["entity:kube-apiserver"] = apiserver
	s.known[apiserver.ID] = apiserver.LabelArray
	s.addPods()
	for _, q := range c.Queries {
		s.introduce(q.From)
		s.introduce(q.To)
		s.asksRequests = s.asksRequests || q.isRequest()
	}
	return s
}

func (s *stage) addPods() {
	names := make([]string, 0, len(s.cluster.pods))
	for name := range s.cluster.pods {
		names = append(names, name)
	}
	sort.Strings(names)
	s.ports = newPortTable()
	for n, name := range names {
		pod := s.cluster.pods[name]
		ports, found := podMetadata(s.cluster.namespaces[pod.Namespace], pod)
		kept, _ := labelsfilter.Filter(found)
		i := s.add("pod:"+name, identity.NumericIdentity(1000+n), withPortLabels(kept, ports))
		registerPorts(s.ports, i.ID, ports)
		s.owners["pod:"+name] = &owner{id: uint64(1 + n), ports: ports, all: s.ports}
	}
}

// add gives an end its identity: equal labels share one, as everywhere in a cluster.
func (s *stage) add(end string, n identity.NumericIdentity, l labels.Labels) *identity.Identity {
	for _, i := range s.ids {
		if i.Labels.Equals(l) {
			s.ids[end] = i
			return i
		}
	}
	i := identity.NewIdentity(n, l)
	s.ids[end] = i
	s.known[n] = i.LabelArray
	return i
}

// introduce makes sure that an end of a connection has an identity.
func (s *stage) introduce(end string) {
	if rest, ok := strings.CutPrefix(end, "ip:"); ok {
		s.addOutside(end, netip.MustParseAddr(rest), "")
	} else if rest, ok := strings.CutPrefix(end, "fqdn:"); ok {
		name, address, _ := strings.Cut(rest, "=")
		s.addOutside(end, netip.MustParseAddr(address), name)
	}
	if s.ids[end] == nil {
		panic("no identity for " + end)
	}
}

// addOutside labels an address outside the cluster as pkg/ipcache/metadata.go does: FQDN selectors
// that match its name, the longest prefix that a policy names, CIDR groups, and world.
func (s *stage) addOutside(end string, address netip.Addr, name string) {
	if s.ids[end] != nil {
		return
	}
	l := s.nameLabels(name)
	hasCIDR := false
	for bits := address.BitLen(); bits >= 0; bits-- {
		prefix, err := address.Prefix(bits)
		must(err)
		namedHere := false
		for key, label := range s.cluster.prefixes[prefix] {
			isCIDR := label.Source == labels.LabelSourceCIDR
			namedHere = namedHere || isCIDR
			if _, taken := l[key]; !taken && !(isCIDR && hasCIDR) {
				l[key] = label
			}
		}
		hasCIDR = hasCIDR || namedHere
	}
	l.AddWorldLabel(address)
	if len(l) == 1 {
		s.ids[end] = identity.LookupReservedIdentity(s.world(address))
		return
	}
	s.add(end, s.nextLocal, l)
	s.nextLocal++
}

func (s *stage) nameLabels(name string) labels.Labels {
	l := labels.Labels{}
	if name == "" {
		return l
	}
	for _, selector := range s.cluster.fqdns {
		matcher, err := selector.ToRegex()
		if err == nil && matcher.MatchString(dns.FQDN(strings.ToLower(name))) {
			label := selector.IdentityLabel()
			l[label.Key] = label
		}
	}
	return l
}

func (s *stage) world(address netip.Addr) identity.NumericIdentity {
	if !s.dualStack {
		return identity.ReservedIdentityWorld
	}
	if address.Is4() {
		return identity.ReservedIdentityWorldIPv4
	}
	return identity.ReservedIdentityWorldIPv6
}
