package main

import (
	"net/netip"
	"strconv"
	"sync"

	cilium "github.com/cilium/proxy/go/cilium/api"

	"github.com/cilium/cilium/pkg/envoy"
	"github.com/cilium/cilium/pkg/fqdn/dnsproxy"
	"github.com/cilium/cilium/pkg/fqdn/restore"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/proxy/accesslog"
	proxytypes "github.com/cilium/cilium/pkg/proxy/types"
	"github.com/cilium/cilium/pkg/u8proto"
)

// Requests: what the proxies decide on a connection that the layer 3/4 policy sends to them.
//
// Cilium's own: the redirects (selectorPolicy.RedirectFilters, looped over as addNewRedirects
// does), the DNS proxy (UpdateAllowed, CheckAllowed) and Envoy's policy (npds.go). Written again
// here, after cilium/proxy at the commit that 1.19.3 ships: Envoy's matching (envoy.go).

// One listener for a kind of proxy and direction, as pkg/proxy/proxyports has them.
const (
	portHTTPIngress = 10001 + iota
	portHTTPEgress
	portDNS
	portAnyIngress
	portAnyEgress
	portListener
)

var xdsServer = sync.OnceValue(newXDS)

type proxies struct {
	dns *dnsproxy.DNSProxy
	xds envoy.XDSServer
}

func newProxies() *proxies {
	p := &proxies{
		dns: dnsproxy.NewDNSProxy(dnsproxy.DNSProxyConfig{Logger: logger}, nil, nil),
		xds: xdsServer(),
	}
	p.xds.RemoveAllNetworkPolicies()
	return p
}

// portSpan is a part of one direction's ports on which the agent's outcome hangs on map order.
type portSpan struct {
	ingress     bool
	protocol    u8proto.U8proto
	first, last uint16
}

func (s portSpan) holds(key policy.Key) bool {
	return s.ingress == key.IsIngress() && s.protocol == key.Nexthdr && s.first <= key.DestPort && key.DestPort <= s.last
}

// proxied is what the proxies know of one endpoint.
type proxied struct {
	proxies *proxies
	npds    *cilium.NetworkPolicy
	// unsure: two parsers, or two sets of DNS rules, on one port: the first filter met wins.
	unsure []portSpan
	// ties: ports of two filters, one by name: whose policies Lookup names is not sure.
	ties []portSpan
}

func (p proxied) namesUnsure(key policy.Key) bool { return anyHolds(p.ties, key) }

func anyHolds(spans []portSpan, key policy.Key) bool {
	for _, s := range spans {
		if s.holds(key) {
			return true
		}
	}
	return false
}

func (e *engine) compute(o *owner, i *identity.Identity) *endpoint {
	selected := e.selectorPolicy(o, i)
	told, unsure := e.proxies.redirects(o, selected)
	ep := &endpoint{owner: o, policy: selected.DistillPolicy(logger, o, told)}
	ep.proxied = proxied{proxies: e.proxies, unsure: unsure, ties: ties(o, ep.policy)}
	if e.stage.asksRequests {
		ep.proxied.npds = npds(e.proxies.xds, o, ep.policy)
		checkEnvoyAccepts(ep.proxied.npds)
	}
	ep.policy.Ready()
	return ep
}

// redirects does what Endpoint.addNewRedirects and Proxy.CreateOrUpdateRedirect do, both of which
// need a whole agent: one redirect for a proxy ID; the DNS proxy gets the first filter's rules.
func (p *proxies) redirects(o *owner, selected policy.SelectorPolicy) (map[string]uint16, []portSpan) {
	ports := map[string]uint16{}
	first := map[string]*policy.L4Filter{}
	last := map[string]uint16{}
	odd := map[string]portSpan{}
	for filter, rules := range selected.RedirectFilters() {
		protocol := filter.U8Proto // as Endpoint.proxyID
		if protocol == 0 && !filter.Protocol.IsAny() {
			protocol, _ = u8proto.ParseProtocol(string(filter.Protocol))
		}
		port := filterPort(o, filter, protocol)
		if port == 0 && filter.PortName != "" {
			continue
		}
		id := policy.ProxyID(uint16(o.id), filter.Ingress, string(filter.Protocol), port, rules.Policy.GetListener())
		proxy := proxyPort(rules.Policy.L7Parser, filter.Ingress)
		last[id] = max(last[id], filter.EndPort, port)
		span := portSpan{ingress: filter.Ingress, protocol: protocol, first: port}
		if !knownParsers[rules.Policy.L7Parser] {
			odd[id] = span
		}
		if taken := ports[id]; taken != 0 {
			if taken != proxy || (proxy == portDNS && first[id] != filter) {
				odd[id] = span
			}
			continue
		}
		ports[id], first[id] = proxy, filter
		if proxy == portDNS {
			_, err := p.dns.UpdateAllowed(o.id, restore.MakeV2PortProto(port, protocol), filter.PerSelectorPolicies)
			must(err)
		}
	}
	var unsure []portSpan
	for id, span := range odd {
		span.last = last[id]
		unsure = append(unsure, span)
	}
	return ports, unsure
}

// filterPort gives a filter's port number: 0 for every port, and for a name nobody declares.
func filterPort(o *owner, f *policy.L4Filter, protocol u8proto.U8proto) uint16 {
	if f.Port == 0 && f.PortName != "" {
		return o.GetNamedPort(f.Ingress, f.PortName, protocol)
	}
	return f.Port
}

func proxyPort(parser policy.L7ParserType, ingress bool) uint16 {
	switch proxytypes.ProxyType(parser) { // as ProxyPorts.FindByTypeWithReference
	case proxytypes.ProxyTypeCRD:
		return portListener
	case proxytypes.ProxyTypeDNS:
		return portDNS
	case proxytypes.ProxyTypeHTTP:
		if ingress {
			return portHTTPIngress
		}
		return portHTTPEgress
	}
	if ingress { // TLS (SNI) and unknown parsers: the TCP proxy chain
		return portAnyIngress
	}
	return portAnyEgress
}

// knownParsers: what other parsers (Kafka, proxylib) do with a request is not judged here.
var knownParsers = map[policy.L7ParserType]bool{
	policy.ParserTypeHTTP: true, policy.ParserTypeDNS: true, policy.ParserTypeTLS: true, policy.ParserTypeCRD: true,
}

// ties finds the ports of which only the policies' names are not sure.
func ties(o *owner, p *policy.EndpointPolicy) (spans []portSpan) {
	for _, dir := range []policy.L4DirectionPolicy{p.SelectorPolicy.L4Policy.Ingress, p.SelectorPolicy.L4Policy.Egress} {
		for named := range dir.PortRules.Filters() {
			if named.PortName == "" {
				continue
			}
			port := filterPort(o, named, named.U8Proto)
			for other := range dir.PortRules.Filters() {
				if port != 0 && other != named && other.U8Proto == named.U8Proto &&
					filterPort(o, other, other.U8Proto) == port {
					spans = append(spans, portSpan{named.Ingress, named.U8Proto, port, port})
				}
			}
		}
	}
	return spans
}

// request is a question with its headers as they go from proxy to proxy: rules may change them.
type request struct {
	*query
	headers headers
}

func newRequest(q *query) *request { return &request{q, newHeaders(q.HTTP)} }

// judgeRequest turns a direction's layer 3/4 verdict into a request's; false: no sure answer.
func (ep *endpoint) judgeRequest(d *direction, q *request, key policy.Key) bool {
	d.L4 = d.Verdict
	if d.Verdict != "redirected" {
		return true
	}
	if anyHolds(ep.proxied.unsure, key) {
		return false
	}
	var allowed, sure bool
	if d.proxyPort == portDNS {
		allowed, sure = ep.askDNSProxy(q, key)
	} else {
		allowed, sure = ep.askEnvoy(d.proxyPort, q, key)
	}
	d.Verdict = "denied"
	if allowed {
		d.Verdict = "allowed"
	}
	return sure
}

func (ep *endpoint) askDNSProxy(q *request, key policy.Key) (allowed, sure bool) {
	if q.DNS == "" {
		return false, false // TLS or HTTP at the DNS proxy: no policy verdict
	}
	allowed, err := ep.proxied.proxies.dns.CheckAllowed(ep.owner.id, restore.MakeV2PortProto(key.DestPort, key.Nexthdr),
		key.Identity, netip.Addr{}, q.DNS)
	must(err)
	return allowed, true
}

func (ep *endpoint) askEnvoy(proxy uint16, q *request, key policy.Key) (allowed, sure bool) {
	if q.DNS != "" || key.Nexthdr != u8proto.TCP || proxy == portListener {
		return false, false // DNS at Envoy; Envoy listens to TCP only
	}
	entries := ep.proxied.npds.EgressPerPortPolicies
	if key.IsIngress() {
		entries = ep.proxied.npds.IngressPerPortPolicies
	}
	rules := findPortRules(entries, key.DestPort)
	allowed = rules.allowsConnection(proxy, uint32(key.Identity), q.SNI)
	if proxy != portHTTPIngress && proxy != portHTTPEgress {
		return allowed, true
	}
	if q.SNI != "" && allowed {
		return false, false // TLS at the HTTP chain: the codec fails, no policy verdict
	}
	return allowed && rules.allowsRequest(proxy, uint32(key.Identity), q.headers), true
}

// The rest of endpoint.EndpointUpdater, which the xDS server asks for.
func (o *owner) GetPolicyNames() []string           { return []string{strconv.FormatUint(o.id, 10)} }
func (o *owner) GetIPv4Address() string             { return "" }
func (o *owner) GetIPv6Address() string             { return "" }
func (o *owner) OnProxyPolicyUpdate(uint64)         {}
func (o *owner) GetListenerProxyPort(string) uint16 { return portListener }
func (o *owner) UpdateProxyStatistics(string, string, uint16, uint16, bool, bool, accesslog.FlowVerdict) {
}
