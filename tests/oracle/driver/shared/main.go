// Command oracle asks Cilium's own policy engine what it would decide.
//
// One case a line comes in on standard input (Kubernetes objects and connections to judge), its
// answers go out as one line on standard output, in the form of the recorded conformance files.
// Everything that decides is Cilium's: the agent's policy watcher parses and resolves the objects
// (watcher.go), the policy repository computes each endpoint's policy, and the map state of that
// policy is looked up (judge.go). What is ours is the stage: identities (identities.go) and JSON.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/cilium/cilium/pkg/fqdn/re"
	"github.com/cilium/cilium/pkg/labelsfilter"
)

// clusterName is what an agent calls its cluster when nobody says otherwise.
const clusterName = "default"

var logger = slog.New(slog.DiscardHandler)

// errGivesUp marks a case on which the engine itself has no answer, such as layer 7 parsers that
// conflict: the agent would keep the endpoint's previous policy.
var errGivesUp = errors.New("the engine gives up")

type testCase struct {
	Name    string            `json:"name"`
	Objects []json.RawMessage `json:"objects"`
	Config  struct {
		DualStack bool   `json:"dualStack"`
		Mode      string `json:"policyEnforcementMode"`
	} `json:"config"`
	Queries []query `json:"queries"`
}

type query struct {
	From     string
	To       string
	Port     uint16
	Protocol string
	DNS      string
	SNI      string
	HTTP     *httpRequest
}

type httpRequest struct {
	Method  string
	Path    string
	Host    string
	Headers map[string]string
}

func (q *query) isRequest() bool { return q.DNS != "" || q.SNI != "" || q.HTTP != nil }

type answers struct {
	Name    string            `json:"name"`
	Invalid map[string]string `json:"invalid,omitempty"`
	Expect  []expectation     `json:"expect"`
	Error   string            `json:"error,omitempty"`
}

type expectation struct {
	Verdict string     `json:"verdict"`
	Egress  *direction `json:"egress,omitempty"`
	Ingress *direction `json:"ingress,omitempty"`
	// Skip: no sure answer, because the agent's own depends on the order of a map.
	Skip bool `json:"skip,omitempty"`
}

type direction struct {
	Verdict string   `json:"verdict"`
	By      []string `json:"by"`
	// L4 is the connection's own verdict when Verdict is a request's.
	L4 string `json:"l4,omitempty"`
	// ByUnsure: which policies are named depends on the order of a map.
	ByUnsure bool `json:"byUnsure,omitempty"`

	proxyPort uint16
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	re.Resize(logger, 1024)
	must(labelsfilter.ParseLabelPrefixCfg(logger, nil, nil, ""))
	agent := startWatcher()
	out := bufio.NewWriter(os.Stdout)
	decoder := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	encoder := json.NewEncoder(out)
	for {
		c := &testCase{}
		if err := decoder.Decode(c); err == io.EOF {
			return
		} else {
			must(err)
		}
		must(encoder.Encode(judge(agent, c)))
		must(out.Flush())
	}
}

// judge answers one case; a panic inside Cilium's code spoils that case only.
func judge(agent *watcher, c *testCase) (result *answers) {
	defer agent.forget()
	defer func() {
		if r := recover(); r != nil {
			result = &answers{Name: c.Name, Error: fmt.Sprint(r)}
			if err, ok := r.(error); !ok || !errors.Is(err, errGivesUp) {
				fmt.Fprintf(os.Stderr, "%s: %v\n%s\n", c.Name, r, debug.Stack())
			}
		}
	}()
	return run(agent, c)
}
