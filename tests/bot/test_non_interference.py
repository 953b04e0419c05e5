"""Who may not see a project is answered as if it were not there: two clusters side by side.

Both clusters have the same shared namespaces, the caller's own project and the same flows of both;
they differ in everything that other projects have. Every command must give the same bytes.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.bot.access import Level, Role, RoleGrant, Rules
from app.bot.approvals import Approvals
from app.bot.audit import Entry
from app.bot.desk import Desk, Known
from app.bot.grammar import GRAMMARS
from app.bot.limits import RateLimit
from app.bot.office import Office
from app.bot.shelf import Shelf
from app.bot.watches import Watches
from app.bot.wishes import ChangeRequests
from app.core.diagnose.evidence import FlowEvidence
from app.core.model.chat import Caller, Incoming
from app.core.model.cluster import Cluster
from app.core.model.flow import DnsInfo, Flow, FlowEndpoint, L7Info, PolicyEvidence
from app.core.model.provenance import Manifest, Notice, ObjectRef
from app.services.drafting import Drafter
from app.services.names import NameBook
from app.services.picture import Ingredients, Picture, make_picture
from app.testing.builders import manifests, namespace, pod
from app.testing.clock import START_NS, FakeClock
from app.testing.repo import FakeRepo
from integrations.slack.blocks import render, render_attachment
from integrations.slack.modals import options_of

CALLER = Caller("U1", "C1", "T1")
PROJECTS = ("project-heart", "project-gene", "project-new")
RULES = Rules(
    "T1",
    frozenset({"C1"}),
    projects={"project-*": frozenset({"UADMIN"}), "project-lung": frozenset({"U1"})},
)
SECOND_NS = 10**9

SHARED = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: from-project-heart, namespace: mirror}
spec:
  endpointSelector: {matchLabels: {app: mirror}}
  ingress:
  - fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": project-heart}}]
    toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: workspace, namespace: project-lung}
spec:
  endpointSelector: {}
  egress:
  - toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": mirror}}]
  - toFQDNs: [{matchName: pypi.org}]
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: everyone}
spec:
  endpointSelector: {matchExpressions: [{key: tier, operator: Exists}]}
  egress: [{toEntities: [cluster]}]
---
apiVersion: v1
kind: Service
metadata: {name: mirror, namespace: mirror}
spec:
  clusterIP: 10.96.0.1
  selector: {app: mirror}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: mirror}
spec:
  gatewayClassName: cilium
  listeners: [{name: web, port: 443, protocol: HTTPS, allowedRoutes: {namespaces: {from: All}}}]
status: {addresses: [{value: 10.96.0.2}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: notes, namespace: mirror}
spec:
  parentRefs: [{name: front}]
  hostnames: [notes.tre.example.org]
  rules:
  - backendRefs: [{name: web, namespace: project-heart, port: 80}]
  - backendRefs: [{name: mirror, port: 80}]
"""

BASE = (
    namespace("project-lung"),
    namespace("mirror"),
    namespace("kube-system"),
    pod("project-lung/jupyter-alice", "10.0.1.1", labels={"app": "jupyter", "user": "alice"}),
    pod("project-lung/jupyter-erin", "10.0.1.2", labels={"app": "jupyter"}),
    pod("mirror/mirror-0", "10.0.2.1", labels={"app": "mirror", "tier": "shared"}),
    pod("kube-system/coredns-0", "10.0.3.1", labels={"k8s-app": "kube-dns"}),
    *manifests(SHARED, file="gitops/shared.yaml"),
)

POLICIES = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: {name}, namespace: {project}}}
spec: {spec}
"""
SPECS = (
    "{endpointSelector: {}, ingress: [{}]}",
    "{endpointSelector: {}, egress: [{toFQDNs: [{matchName: secret.example.net}]}]}",
    "{endpointSelector: {}, egress: [{toFQDNs: [{matchName: a.b}], toEntities: [world]}]}",
    "{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: 99999}]}]}]}",
    "nonsense",
)
OTHERS = """
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {project}}}
spec: {{clusterIP: 10.96.0.{number}, selector: {{app: jupyter}}, ports: [{{port: 80}}]}}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {{name: grant, namespace: {project}}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: mirror}}]
  to: [{{group: "", kind: Service}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: own, namespace: {project}}}
spec:
  parentRefs: [{{name: front, namespace: mirror}}]
  hostnames: [notes.tre.example.org, {project}.tre.example.org]
  rules: [{{backendRefs: [{{name: web, port: 80}}]}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: batch, namespace: {project}}}
spec:
  selector: {{matchLabels: {{app: batch}}}}
  template: {{metadata: {{labels: {{app: batch}}}}, spec: {{containers: [{{name: c}}]}}}}
"""


@dataclass(frozen=True)
class Others:
    """What other projects have: objects, what of them could not be read, and flows."""

    objects: tuple[Manifest, ...] = ()
    notices: tuple[Notice, ...] = ()
    flows: tuple[Flow, ...] = ()
    later_s: int = 0


@st.composite
def others(draw: st.DrawFn) -> Others:
    found: list[Manifest] = []
    notices: list[Notice] = []
    flows: list[Flow] = []
    for number, project in enumerate(draw(st.lists(st.sampled_from(PROJECTS), unique=True)), 10):
        found.append(namespace(project, project=project.removeprefix("project-")))
        names = draw(st.lists(st.sampled_from(("jupyter-bob", "jupyter-alice", "mirror-0", "db"))))
        for at, name in enumerate(dict.fromkeys(names)):
            labels = {"app": "jupyter", "study": "x7", "username": name}
            found.append(pod(f"{project}/{name}", f"10.0.{number}.{at + 1}", labels=labels))
            flows += _flows_of(project, name, f"10.0.{number}.{at + 1}", draw)
        if draw(st.booleans()):
            found += manifests(OTHERS.format(project=project, number=number), file="others.yaml")
        for at, spec in enumerate(draw(st.lists(st.sampled_from(SPECS), max_size=2))):
            text = POLICIES.format(name=f"policy-{at}", project=project, spec=spec)
            found += manifests(text, file=f"gitops/{project}.yaml")
        if draw(st.booleans()):
            ref = ObjectRef("CiliumNetworkPolicy", project, "unread")
            notices.append(Notice("it could not be read", ref=ref, severity="error"))
    return Others(tuple(found), tuple(notices), tuple(flows), draw(st.integers(0, 59)))


def _flows_of(project: str, name: str, ip: str, draw: st.DrawFn) -> list[Flow]:
    own = FlowEndpoint(identity=7001, namespace=project, pod=name, labels=("k8s:study=x7",))
    mirror = FlowEndpoint(identity=7002, namespace="mirror", pod="mirror-0")
    named = (PolicyEvidence("CiliumNetworkPolicy", project, "policy-0"),)
    answer = L7Info(type="RESPONSE", dns=DnsInfo(query="pypi.org", ips=("198.51.100.9",)))
    drop = Flow(
        START_NS,
        "DROPPED",
        own,
        mirror,
        ip,
        "10.0.2.1",
        "TCP",
        40000,
        8080,
        drop_reason="POLICY_DENIED",
        event=1,
        egress_denied_by=named,
    )
    every = [
        drop,
        Flow(START_NS, "DROPPED", FlowEndpoint(), mirror, ip, "10.0.2.1", "TCP", 40000, 8080),
        Flow(START_NS, "FORWARDED", mirror, own, "10.0.2.1", ip, "UDP", 53, 40000, l7=answer),
    ]
    return draw(st.lists(st.sampled_from(every), max_size=3))


def own_flows() -> tuple[Flow, ...]:
    alice = FlowEndpoint(identity=7003, namespace="project-lung", pod="jupyter-alice")
    mirror = FlowEndpoint(identity=7002, namespace="mirror", pod="mirror-0")
    named = (PolicyEvidence("CiliumNetworkPolicy", "mirror", "from-project-heart"),)
    return (
        Flow(
            START_NS,
            "DROPPED",
            alice,
            mirror,
            "10.0.1.1",
            "10.0.2.1",
            "TCP",
            4000,
            8080,
            drop_reason="POLICY_DENIED",
            event=1,
            ingress_denied_by=named,
        ),
        Flow(
            START_NS,
            "FORWARDED",
            alice,
            FlowEndpoint(),
            "10.0.1.1",
            "198.51.100.8",
            "TCP",
            4001,
            443,
            destination_names=("pypi.org",),
        ),
    )


def known_with(extra: Others) -> Known:
    flows = (*own_flows(), *extra.flows)
    names = NameBook()
    names.learn(flows)
    ingredients = Ingredients(
        (*extra.objects, *BASE), learned_names=names.names(), notices=extra.notices
    )
    read_ns = START_NS + extra.later_s * SECOND_NS
    picture = dataclasses.replace(make_picture(ingredients), as_of_ns=read_ns)
    return Known(picture, FlowEvidence(flows, policies_as_of_ns=read_ns), "demo")


ENDS = st.sampled_from(
    [
        *("project-lung/jupyter-alice", "project-lung/jupyter", "jupyter-alice", "mirror/mirror-0"),
        *("jupyter-alice.project-lung", "jupyter-bob.project-heart", "mirror.mirror", "web"),
        *(
            "project-heart/jupyter-bob",
            "project-heart/j",
            "jupyter-bob",
            "jupyter",
            "nope/pod",
            "db",
        ),
        *("10.0.10.1", "10.0.11.1", "10.96.0.10", "10.0.1.1", "10.96.0.1", "10.96.0.2", "pypi.org"),
        *("198.51.100.9", "svc:project-heart/web", "svc:mirror/mirror:80", "svc:mirror/mirror"),
        *("label:project-heart/app=jupyter", "label:project-lung/app=jupyter", "label:nope/a=b"),
        *("deploy:project-heart/batch", "web.project-heart.svc.cluster.local", "entity:world"),
        *("notes.tre.example.org", "project-heart.tre.example.org", "https://pypi.org/simple/"),
        *("secret.example.net", "fqdn:a.b=10.0.10.1", "project-heart", "from-project-heart"),
    ]
)
REQUESTS = st.sampled_from(
    [
        "",
        "",
        "",
        "8080",
        "443",
        "80",
        '80 --http "GET /x"',
        "53/UDP --dns pypi.org",
        "443 --sni a.b",
    ]
)
NAMESPACES = st.sampled_from(["project-lung", "mirror", "kube-system", "nope", *PROJECTS])
POLICY_NAMES = st.sampled_from(
    [
        *("mirror/from-project-heart", "project-lung/workspace", "everyone", "policy-0"),
        *("project-heart/policy-0", "project-gene/policy-1", "nope/x", "workspace"),
    ]
)
PAIRS = st.tuples(ENDS, ENDS, REQUESTS).map(" ".join)
COMMANDS = st.one_of(
    PAIRS.map("can {}".format),
    PAIRS.map("what-if allow {}".format),
    PAIRS.map("cli {}".format),
    PAIRS.map("why {} --public".format),
    PAIRS.map("draft {} --reason x".format),
    POLICY_NAMES.map("what-if delete {}".format),
    st.one_of(POLICY_NAMES, NAMESPACES, st.just("")).map("lint {}".format),
    st.one_of(ENDS, NAMESPACES).map('flows "{}" --limit 3'.format),
    st.tuples(ENDS, ENDS).map(lambda one: f'flows --from "{one[0]}" --to "{one[1]}"'),
    NAMESPACES.map("watch add {}".format),
    st.sampled_from(["flows", "flows --verdict dropped --since 1h --public", "pr list", "lint"]),
    st.tuples(ENDS, ENDS, REQUESTS).map(lambda one: f"why-blocked {one[0]} {one[1]} {one[2]}"),
    st.tuples(ENDS, ENDS).map(lambda one: f"why --to {one[0]} --from={one[1]} --port 8080"),
    NAMESPACES.map("inventory {}".format),
    st.one_of(ENDS, NAMESPACES).map('help "{}"'.format),
    st.sampled_from([*GRAMMARS, *(f"help {name}" for name in GRAMMARS), "", "whi jupyter-bob"]),
    st.text(max_size=30),
)


class Notebook(list[Entry]):
    def record(self, entry: Entry) -> None:
        self.append(entry)


def transcript(known: Known, commands: list[str], rules: Rules) -> bytes:
    """Everything that leaves the bot: messages, what can be pressed, look-ups, lines."""
    notebook = Notebook()
    limit = RateLimit(per_user=10**6, per_channel=10**6)
    desk = Desk(lambda: known, rules, notebook, FakeClock(), limit)
    shelf = Shelf()
    approvals = Approvals(
        ChangeRequests(shelf),
        rules,
        FakeClock(),
        lambda: (known.picture, known.flows),
        drafter=Drafter(FakeRepo(), str),
        channel="C0OPS",
    )
    desk.doer = Office(approvals, Watches(shelf, FakeClock()))
    sent: list[object] = []

    def ask(text: str, *, deeper: bool) -> None:
        reply = asyncio.run(desk.answer(Incoming(text, CALLER)))
        ids = tuple(f"c1.{number}" for number, _ in enumerate(reply.choices))
        more = tuple(f"c2.{number}" for number, _ in enumerate(reply.buttons))
        pressed = [one.command for one in (*reply.choices, *reply.buttons)]
        attached = [] if reply.attachment is None else list(render_attachment(reply.attachment))
        sent.append([text, render(reply, ids, more), pressed, attached, str(reply.form)])
        for command in pressed if deeper else ():
            ask(command, deeper=False)

    def look_up(name: str, typed: str, given: dict[str, str]) -> None:
        found = asyncio.run(desk.suggest(CALLER, name, typed, given))
        sent.append([name, typed, options_of(found), [one.command for one in found]])

    for command in commands:
        ask(command, deeper=True)
    for typed in ("", "project", "jupyter", "b", "project-heart/j"):
        look_up("in", typed, {})
        for within in ("", "project-heart", "project-lung"):
            look_up("from", typed, {"in": within})
    desk.pool.close()
    desk.lookups.close()
    approvals.pool.close()
    shelf.close()
    entries = [dataclasses.asdict(entry) for entry in notebook]
    return json.dumps([sent, entries], ensure_ascii=True, indent=1).encode()


EMPTY = known_with(Others())


ROLES = {"U1": RoleGrant(Role.DRAFTER, frozenset({"project-lung", "mirror", "kube-*"}))}
"""The other way to be kept out: a role that ends at some namespaces, and no projects."""
LIMITED = dataclasses.replace(RULES, projects={}, grants=ROLES)
BOTH = dataclasses.replace(RULES, grants={"C1": RoleGrant(Role.DRAFTER)})


@pytest.mark.parametrize("rules", [RULES, LIMITED, BOTH], ids=["projects", "roles", "both"])
@pytest.mark.parametrize("level", list(Level))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(extra=others(), commands=st.lists(COMMANDS, min_size=1, max_size=4))
def test_other_projects_change_no_byte_of_what_is_told(
    level: Level, rules: Rules, extra: Others, commands: list[str]
) -> None:
    rules = dataclasses.replace(rules, level=level)
    with_them = transcript(known_with(extra), commands, rules)
    assert with_them.decode() == transcript(EMPTY, commands, rules).decode()


def test_member_of_the_other_project_is_told_of_it() -> None:
    """The property above would also hold for a bot that tells nobody anything."""
    bob = pod("project-heart/jupyter-bob", "10.0.10.1", labels={"app": "jupyter"})
    known = known_with(Others((namespace("project-heart"), bob)))
    rules = dataclasses.replace(RULES, projects={"project-*": frozenset({"U1"})}, level=Level.FULL)
    told = transcript(known, ["why jupyter-bob mirror/mirror-0 8080"], rules).decode()
    assert "from-project-heart" in told
    assert "project-heart/jupyter-bob" in told
    assert "ALLOWED project-heart/jupyter-bob" in told


def test_every_part_of_a_cluster_is_decided_about() -> None:
    """A part that is new must be looked at in `app.services.view` before anybody is told of it."""
    assert {one.name for one in dataclasses.fields(Cluster)} == {
        *("config", "namespaces", "endpoints", "services", "nodes", "cidr_groups", "routes"),
        *("other_routes", "redirects", "apiserver_addresses", "local_addresses", "policies"),
        *("learned_names", "notices", "dns_addresses", "unread", "book"),
    }
    assert {one.name for one in dataclasses.fields(Picture)} == {
        *("cluster", "engine", "as_of_ns", "revision", "sources", "notices", "shadowed"),
        *("rights", "boundaries", "settings"),
    }
