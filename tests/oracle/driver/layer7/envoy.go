package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	cilium "github.com/cilium/proxy/go/cilium/api"
	envoy_config_core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	envoy_config_route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	envoy_type_matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// How cilium-envoy evaluates the policy it is given: cilium/network_policy.{h,cc} of cilium/proxy
// at 2437d2edeaf4, the build that Cilium 1.19.3 ships.

type portRule = cilium.PortNetworkPolicyRule

// portRules are the rules of one port, in the order in which Envoy tries them.
type portRules struct {
	found bool
	rules []*portRule
	// shortCircuit: the first rule that allows decides; header actions need all rules tried.
	shortCircuit bool
}

// ruleList is the rules of all entries that hold a port; an entry without rules allows everything.
type ruleList struct {
	found bool
	rules []*portRule
}

var allowEverything = &portRule{}

func (l *ruleList) add(rules []*portRule, inFront bool) {
	if l.found && (len(rules) == 0) != (len(l.rules) == 0) {
		l.put(allowEverything, inFront)
	}
	for _, r := range rules {
		l.put(r, inFront)
	}
	l.found = true
}

func (l *ruleList) put(r *portRule, inFront bool) {
	if inFront {
		l.rules = slices.Insert(l.rules, 0, r)
		return
	}
	l.rules = append(l.rules, r)
}

// findPortRules is class PortNetworkPolicy with findPortRules. Its map of disjoint ranges is not
// built: a port's rules are those of all entries that hold it, exact ones in front, then those of
// the wildcard port.
func findPortRules(entries []*cilium.PortNetworkPolicy, port uint16) portRules {
	var specific, wildcard ruleList
	for _, e := range entries {
		last := max(e.EndPort, e.Port)
		switch {
		case e.Protocol != envoy_config_core.SocketAddress_TCP:
		case e.Port == 0:
			wildcard.add(e.Rules, true)
		case e.Port <= uint32(port) && uint32(port) <= last:
			specific.add(e.Rules, e.Port == last)
		}
	}
	chosen := wildcard
	if specific.found {
		chosen = specific
		if wildcard.found {
			if (len(wildcard.rules) == 0) != (len(specific.rules) == 0) {
				chosen.put(allowEverything, false)
			}
			chosen.rules = append(slices.Clone(chosen.rules), wildcard.rules...)
		}
	}
	out := portRules{found: specific.found || wildcard.found, rules: slices.Clone(chosen.rules), shortCircuit: true}
	for _, r := range out.rules {
		for _, h := range r.GetHttpRules().GetHttpRules() {
			out.shortCircuit = out.shortCircuit && len(h.HeaderMatches) == 0
		}
	}
	slices.SortStableFunc(out.rules, func(a, b *portRule) int { return denyFirst(a) - denyFirst(b) })
	return out
}

func denyFirst(r *portRule) int {
	if r.Deny {
		return 0
	}
	return 1
}

type ruling int

const (
	silent ruling = iota
	allows
	denies
)

// each is PortNetworkPolicyRules::forEachRule.
func (p portRules) each(shortCircuit bool, ask func(*portRule) ruling) ruling {
	if len(p.rules) == 0 {
		return allows
	}
	out := silent
	for _, r := range p.rules {
		switch said := ask(r); {
		case said == denies:
			return denies
		case said == allows && shortCircuit:
			return allows
		case said == allows:
			out = allows
		}
	}
	return out
}

// ruleFor is PortNetworkPolicyRule::getVerdict(proxy_id, remote_id).
func ruleFor(r *portRule, proxyID uint16, remote uint32) ruling {
	if r.ProxyId != 0 && uint16(r.ProxyId) != proxyID {
		return silent
	}
	if len(r.RemotePolicies) > 0 && !slices.Contains(r.RemotePolicies, remote) {
		return silent
	}
	if r.Deny {
		return denies
	}
	return allows
}

// allowsConnection is the network filter: PortPolicy::allowed(proxy_id, remote_id, sni).
func (p portRules) allowsConnection(proxyID uint16, remote uint32, sni string) bool {
	if !p.found {
		return false
	}
	return p.each(true, func(r *portRule) ruling {
		named := func(pattern string) bool { return sni != "" && serverNameMatches(pattern, sni) }
		if len(r.ServerNames) > 0 && !slices.ContainsFunc(r.ServerNames, named) {
			return silent
		}
		return ruleFor(r, proxyID, remote)
	}) == allows
}

// allowsRequest is the HTTP filter: PortPolicy::allowed(proxy_id, remote_id, headers).
func (p portRules) allowsRequest(proxyID uint16, remote uint32, h headers) bool {
	hasHTTP := func(r *portRule) bool { return len(r.GetHttpRules().GetHttpRules()) > 0 }
	if !slices.ContainsFunc(p.rules, hasHTTP) {
		return true
	}
	return p.each(p.shortCircuit, func(r *portRule) ruling {
		said := ruleFor(r, proxyID, remote)
		if !hasHTTP(r) || said != allows {
			return said
		}
		return httpRules(r.GetHttpRules().GetHttpRules(), h)
	}) == allows
}

// httpRules tries the HTTP rules of one port rule; header actions change the request as they go.
func httpRules(rules []*cilium.HttpNetworkPolicyRule, h headers) ruling {
	acts := slices.ContainsFunc(rules, func(r *cilium.HttpNetworkPolicyRule) bool { return len(r.HeaderMatches) > 0 })
	out := silent
	for _, r := range rules {
		if !headersMatch(h, r.Headers) {
			continue
		}
		fits := true
		for _, m := range r.HeaderMatches {
			fits = headerAction(h, m) && fits
		}
		if fits {
			out = allows
			if !acts {
				break
			}
		}
	}
	return out
}

// headers of one request by lower-case name; Envoy keeps Host as :authority.
type headers map[string][]string

func headerKey(name string) string {
	if name = strings.ToLower(name); name == "host" {
		return ":authority"
	}
	return name
}

func newHeaders(q *httpRequest) headers {
	if q == nil {
		return headers{}
	}
	h := headers{":method": {"GET"}, ":path": {"/"}}
	for name, value := range map[string]string{":method": q.Method, ":path": q.Path, ":authority": q.Host} {
		if value != "" {
			h[name] = []string{value}
		}
	}
	for name, value := range q.Headers {
		h[headerKey(name)] = []string{strings.Trim(value, " \t")}
	}
	return h
}

// get is HeaderUtility::getAllOfHeaderAsString.
func (h headers) get(name string) (string, bool) {
	values, ok := h[headerKey(name)]
	return strings.Join(values, ","), ok && len(values) > 0
}

// headersMatch is HeaderUtility::matchHeaders, for the matchers that Cilium makes.
func headersMatch(h headers, matchers []*envoy_config_route.HeaderMatcher) bool {
	for _, m := range matchers {
		value, present := h.get(m.Name)
		var fits bool
		switch specifier := m.HeaderMatchSpecifier.(type) {
		case *envoy_config_route.HeaderMatcher_PresentMatch:
			fits = (present == specifier.PresentMatch) != m.InvertMatch
		case *envoy_config_route.HeaderMatcher_StringMatch:
			// a missing header never matches, inverted or not
			fits = present && stringMatches(specifier.StringMatch, value) != m.InvertMatch
		default:
			panic(fmt.Sprintf("unknown header matcher %T", specifier))
		}
		if !fits {
			return false
		}
	}
	return true
}

func stringMatches(m *envoy_type_matcher.StringMatcher, value string) bool {
	switch pattern := m.MatchPattern.(type) {
	case *envoy_type_matcher.StringMatcher_Exact:
		return value == pattern.Exact
	case *envoy_type_matcher.StringMatcher_SafeRegex:
		return fullMatch(pattern.SafeRegex.Regex, value)
	default:
		panic(fmt.Sprintf("unknown string matcher %T", pattern))
	}
}

// headerAction is class HeaderMatch; Cilium sends no match actions, so a match goes on.
func headerAction(h headers, m *cilium.HeaderMatch) bool {
	if m.ValueSdsSecret != "" && m.Value == "" {
		return false // no case has Secrets: as one that is missing
	}
	value, present := h.get(m.Name)
	if present && (m.Value == "" || value == m.Value) {
		return true
	}
	key := headerKey(m.Name)
	switch m.MismatchAction {
	case cilium.HeaderMatch_CONTINUE_ON_MISMATCH:
	case cilium.HeaderMatch_ADD_ON_MISMATCH:
		h[key] = append(h[key], m.Value)
	case cilium.HeaderMatch_DELETE_ON_MISMATCH:
		if m.Value != "" {
			delete(h, key)
		}
	case cilium.HeaderMatch_REPLACE_ON_MISMATCH:
		h[key] = []string{m.Value}
	default:
		return false
	}
	return true
}

var (
	errEnvoyRefuses = errors.New("Envoy refuses the policy")
	compiled        = map[string]*regexp.Regexp{}
)

// fullMatch is RE2::FullMatch.
func fullMatch(expression, text string) bool {
	r := compiled[expression]
	if r == nil {
		var err error
		if r, err = regexp.Compile(`\A(?:` + expression + `)\z`); err != nil {
			panic(errors.Join(errGivesUp, errEnvoyRefuses, err))
		}
		compiled[expression] = r
	}
	return r.MatchString(text)
}

const (
	nameLabel   = `[*]?[-a-zA-Z0-9_]+(?:[*][-a-zA-Z0-9_]+)*[*]?`
	patternPart = `(?:[*]{1,2}|` + nameLabel + `)`
)

var (
	validServerName = regexp.MustCompile(`^(?:` + patternPart + `[.])*` + patternPart + `$`)
	anyServerName   = regexp.MustCompile(`^[-a-z0-9_]+(?:[.][-a-z0-9_]+)*$`)
	serverNameStars = strings.NewReplacer(".", "[.]", "**", `[-a-z0-9_]+([.][-a-z0-9_]+){0,}`, "*", `[-a-z0-9_]{0,}`)
)

// serverNameMatches is class SniPattern.
func serverNameMatches(pattern, sni string) bool {
	checkServerName(pattern)
	sni, pattern = strings.ToLower(sni), strings.ToLower(pattern)
	switch {
	case pattern == "*":
		return anyServerName.MatchString(sni)
	case strings.Contains(pattern, "*"):
		return fullMatch(serverNameStars.Replace(pattern), sni)
	}
	return pattern == sni
}

func checkServerName(pattern string) {
	if !validServerName.MatchString(pattern) {
		panic(errors.Join(errGivesUp, errEnvoyRefuses, fmt.Errorf("server name %q", pattern)))
	}
}

// checkEnvoyAccepts looks for what makes Envoy refuse a whole update, so that a case does not
// depend on the questions it asks.
func checkEnvoyAccepts(p *cilium.NetworkPolicy) {
	for _, entry := range slices.Concat(p.IngressPerPortPolicies, p.EgressPerPortPolicies) {
		for _, r := range entry.Rules {
			for _, name := range r.ServerNames {
				checkServerName(name)
			}
			for _, h := range r.GetHttpRules().GetHttpRules() {
				for _, m := range h.Headers {
					if expression := m.GetStringMatch().GetSafeRegex(); expression != nil {
						fullMatch(expression.Regex, "")
					}
				}
			}
		}
	}
}
