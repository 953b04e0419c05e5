package main

import "github.com/cilium/cilium/pkg/policy"

// redirects gives every proxied filter of an endpoint a port (pkg/endpoint/bpf.go addNewRedirects).
func redirects(o *owner, selected policy.SelectorPolicy) map[string]uint16 {
	ports := map[string]uint16{}
	for filter, rules := range selected.RedirectFilters() {
		port := filter.Port
		if port == 0 && filter.PortName != "" {
			port = o.GetNamedPort(filter.Ingress, filter.PortName, filter.U8Proto)
		}
		id := policy.ProxyID(uint16(o.id), filter.Ingress, string(filter.Protocol), port, rules.Policy.GetListener())
		ports[id] = anyProxyPort
	}
	return ports
}
