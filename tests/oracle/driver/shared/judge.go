package main

import (
	"errors"
	"runtime"
	"sort"
	"strings"

	envoypolicy "github.com/cilium/cilium/pkg/envoy/policy"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/identity/identitymanager"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	testidentity "github.com/cilium/cilium/pkg/testutils/identity"
	testpolicy "github.com/cilium/cilium/pkg/testutils/policy"
	"github.com/cilium/cilium/pkg/u8proto"
)

var protocols = map[string]u8proto.U8proto{"TCP": 6, "UDP": 17, "SCTP": 132, "ICMP": 1, "ICMPv6": 58}

// engine is the policy repository of a case with the endpoint policies computed so far.
type engine struct {
	stage      *stage
	repository *policy.Repository
	identities identitymanager.IDManager
	endpoints  map[string]*endpoint
	proxies    *proxies
}

// endpoint is the computed policy of one pod, with what its proxies were told.
type endpoint struct {
	owner   *owner
	policy  *policy.EndpointPolicy
	proxied proxied
}

func configure(c *testCase) {
	option.Config.EnableIPv4, option.Config.EnableIPv6 = true, c.Config.DualStack
	option.Config.EnableL7Proxy = true
	option.Config.ClusterName = clusterName
	allowLocalhostAlways()
	mode := c.Config.Mode
	if mode == "" {
		mode = option.DefaultEnforcement
	}
	policy.SetPolicyEnabled(mode)
	api.InitEntities(clusterName)
}

func run(w *watcher, c *testCase) *answers {
	configure(c)
	known := readCluster(w, c.Objects)
	e := newEngine(newStage(c, known))
	result := &answers{Name: c.Name, Invalid: known.invalid, Expect: []expectation{}}
	for i := range c.Queries {
		result.Expect = append(result.Expect, e.answer(&c.Queries[i]))
	}
	return result
}

func newEngine(s *stage) *engine {
	e := &engine{
		stage:      s,
		identities: identitymanager.NewIDManager(logger),
		endpoints:  map[string]*endpoint{},
		proxies:    newProxies(),
	}
	e.repository = policy.NewPolicyRepository(logger, s.known, nil,
		envoypolicy.NewEnvoyL7RulesTranslator(logger, nil), e.identities, testpolicy.NewPolicyMetricsNoop())
	e.repository.GetSelectorCache().SetLocalIdentityNotifier(testidentity.NewDummyIdentityNotifier())
	prepareRepository(e.repository, s)
	for id, entries := range s.cluster.rules {
		e.repository.ReplaceByResource(entries, id)
	}
	return e
}

func (e *engine) answer(q *query) expectation {
	x := expectation{Verdict: "allowed"}
	asked := newRequest(q)
	x.Egress = e.direction(&x, asked, q.From, q.To, policy.EgressKey())
	x.Ingress = e.direction(&x, asked, q.To, q.From, policy.IngressKey())
	return x
}

// direction asks the policy of one end, if a pod, about the other; the worse verdict decides.
func (e *engine) direction(x *expectation, q *request, end, other string, key policy.Key) *direction {
	if e.stage.owners[end] == nil {
		return nil
	}
	ep := e.endpoint(end)
	key = key.WithIdentity(e.stage.ids[other].ID).WithPortProto(protocols[q.Protocol], q.Port)
	d := lookup(ep.policy, key)
	d.ByUnsure = ep.proxied.namesUnsure(key)
	if q.isRequest() && !ep.judgeRequest(d, q, key) {
		x.Skip = true
	}
	if d.Verdict == "denied" || d.Verdict == "redirected" && x.Verdict == "allowed" {
		x.Verdict = d.Verdict
	}
	return d
}

func (e *engine) endpoint(end string) *endpoint {
	ep := e.endpoints[end]
	if ep == nil {
		ep = e.tryCompute(e.stage.owners[end], e.stage.ids[end])
		e.endpoints[end] = ep
	}
	return ep
}

// tryCompute takes a crash of Cilium's own code for what it is: no answer.
func (e *engine) tryCompute(o *owner, i *identity.Identity) *endpoint {
	defer func() {
		r := recover()
		if crash, ok := r.(runtime.Error); ok {
			r = errors.Join(errGivesUp, crash)
		}
		if r != nil {
			panic(r)
		}
	}()
	return e.compute(o, i)
}

// lookup reads the map state as the data plane would, with the policies behind the entry.
func lookup(p *policy.EndpointPolicy, key policy.Key) *direction {
	entry, origin, _ := p.Lookup(key)
	d := &direction{Verdict: "allowed"}
	if entry.IsDeny() {
		d.Verdict = "denied"
	} else if entry.IsRedirectEntry() {
		d.Verdict = "redirected"
		d.proxyPort = entry.ProxyPort
	}
	names := map[string]bool{}
	for _, l := range origin.LabelArray() {
		if name := policyName(l); name != "" {
			names[name] = true
		}
	}
	d.By = make([]string, 0, len(names))
	for name := range names {
		d.By = append(d.By, name)
	}
	sort.Strings(d.By)
	return d
}

func policyName(l labels.LabelArray) string {
	var kind, namespace, name string
	for _, label := range l {
		switch label.Key {
		case "io.cilium.k8s.policy.derived-from":
			kind = label.Value
		case "io.cilium.k8s.policy.namespace":
			namespace = label.Value
		case "io.cilium.k8s.policy.name":
			name = label.Value
		}
	}
	if name == "" {
		return ""
	}
	return strings.Join([]string{kind, namespace, name}, "/")
}
