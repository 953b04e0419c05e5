"""DNS rules: what makes the names of toFQDNs known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from app.core.drafts.edits import Append, parse_path
from app.core.lint.cover import holds_port, is_plain, peers_cover
from app.core.lint.finding import Hit, Knowledge, Severity
from app.core.lint.rule import Book
from app.core.lint.rules.names import DNS_PORT, dns_rules, egress_of, is_open, names_of
from app.core.lint.scope import Scope
from app.core.lint.view import View, told
from app.core.model.verdict import Direction
from app.core.policy.names import FIRST_WITH_WHOLE_LABELS, dns_rules_allow
from app.core.policy.rules import Entry, FqdnSelector, LabelSelector

BOOK = Book()


@BOOK.check(
    "NP001",
    "fqdn-without-dns-rule",
    Severity.ERROR,
    why="""A toFQDNs rule matches addresses that the DNS proxy has seen in answers. Without an
    egress rule with `rules.dns` for the pod's DNS server nothing is ever learned, and the
    connection is dropped (Cilium docs, security/policy/language, DNS based).""",
    bad="""
    egress:
    - toFQDNs: [{matchName: pypi.org}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    """,
    good="""
    egress:
    - toFQDNs: [{matchName: pypi.org}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchName: pypi.org}]}}]
    """,
)
def fqdn_without_dns_rule(view: View, scope: Scope) -> Iterator[Hit]:
    """No rule of the subject shows its DNS to the proxy."""
    for entry in egress_of(view):
        names = names_of(entry)
        if not names or entry.node:
            continue
        seeing = scope.sharing(entry, Direction.EGRESS, kind="dns", wanted=has_dns_rules)
        blind = [
            endpoint.key
            for endpoint in (scope.endpoints_of(entry) if scope.has_pods else ())
            if not any(one.selects_subject(endpoint.labels, endpoint.namespace) for one in seeing)
        ]
        if seeing and not blind:
            continue
        who = f" for {blind[0]}" if seeing else ""
        yield Hit(
            f"{entry.rule.path}.toFQDNs",
            f"`{names[0].text}` is never learned: no rule{who} sends DNS through the proxy",
            "allow the pod's DNS server on 53/UDP and 53/TCP with `rules.dns`",
        )
        return


@BOOK.check(
    "NP002",
    "dns-rule-refuses-fqdn",
    Severity.ERROR,
    why="""The proxy answers REFUSED for a name that no `rules.dns` of the pod permits, so the
    address of the toFQDNs rule is never learned.""",
    bad="""
    egress:
    - toFQDNs: [{matchName: cran.r-project.org}]
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchName: pypi.org}]}}]
    """,
    good="""
    egress:
    - toFQDNs: [{matchName: cran.r-project.org}]
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*.r-project.org"}]}}]
    """,
)
def dns_rule_refuses_fqdn(view: View, scope: Scope) -> Iterator[Hit]:
    """DNS rules are there, but none permits the name."""
    for entry in egress_of(view):
        names = names_of(entry)
        if not names or entry.node:
            continue
        seeing = scope.sharing(entry, Direction.EGRESS, kind="dns", wanted=has_dns_rules)
        if not seeing or _plain_dns(entry, scope):
            continue
        rules = [(one.name, one.pattern) for other in seeing for _, one in dns_rules(other)]
        for name in names:
            if not is_open(name.text) and not _permits(rules, name, scope):
                yield Hit(
                    name.path,
                    f"the DNS rules of this pod refuse `{name.text}`",
                    f"add `{name.text}` to `rules.dns`",
                )


def _permits(rules: list[tuple[str, str]], name: FqdnSelector, scope: Scope) -> bool:
    whole = scope.version >= FIRST_WITH_WHOLE_LABELS
    if any(is_open(name) or is_open(pattern) for name, pattern in rules):
        return True
    if name.pattern and any(name.pattern.lower() == pattern.lower() for _, pattern in rules):
        return True
    example = re.sub(r"\A\*{2,}\.", "x." if not whole else "a.b.", name.text)
    example = re.sub(r"\*+", "x", example)
    if name.pattern and not set(name.pattern) - {"*", "."}:
        example = "any.name.example"
    return dns_rules_allow(rules, example, whole_labels=whole)


def _plain_dns(entry: Entry, scope: Scope) -> bool:
    """Whether another rule lets every question through: a plain allow of exactly port 53."""

    def wanted(other: Entry) -> bool:
        return is_plain(other) and any(
            spec.number == DNS_PORT and spec.end <= DNS_PORT and not spec.name
            for rule in other.ports
            for spec in rule.ports
        )

    return bool(scope.sharing(entry, Direction.EGRESS, kind="plain-dns", wanted=wanted))


@BOOK.check(
    "NP009",
    "dns-without-tcp",
    Severity.WARNING,
    why="""An answer that does not fit into one datagram is asked for again over TCP. With 53/UDP
    alone the small answers work and the large ones do not.""",
    bad="""
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: UDP}]}]
    """,
    good="""
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: UDP}, {port: "53", protocol: TCP}]}]
    """,
)
def dns_without_tcp(view: View, scope: Scope) -> Iterator[Hit]:
    """53/UDP is open to a server, 53/TCP to none that is the same."""
    for entry in egress_of(view):
        if not _only_udp(entry):
            continue
        others = scope.sharing(entry, Direction.EGRESS, kind="dns-tcp", wanted=_holds_dns_tcp)
        if any(peers_cover(other, entry, scope.facts) for other in others):
            continue
        spec = next(spec for rule in entry.ports for spec in rule.ports if spec.number == DNS_PORT)
        port = DNS_PORT if view.is_kubernetes else str(DNS_PORT)
        edit = Append(parse_path(spec.path)[:-1], {"port": port, "protocol": "TCP"})
        single = spec.end in (0, DNS_PORT)
        yield Hit(
            spec.path,
            "DNS over UDP only: answers that do not fit are asked for again over TCP",
            "allow 53/TCP as well, as `protocol: ANY` does",
            edits=(edit,) if single else (),
            certain=single,
        )


def _only_udp(entry: Entry) -> bool:
    udp = any(
        spec.number == DNS_PORT and not spec.name and "UDP" in spec.protocols
        for rule in entry.ports
        for spec in rule.ports
    )
    return udp and not holds_port(entry, DNS_PORT, "TCP")


def _holds_dns_tcp(entry: Entry) -> bool:
    return holds_port(entry, DNS_PORT, "TCP")


@BOOK.check(
    "NP013",
    "dns-rules-void",
    Severity.WARNING,
    why="""The DNS proxy lets every name through as soon as one rule allows the server on the same
    port and protocol without `rules.dns` (Cilium pkg/fqdn/dnsproxy: no rules match all).""",
    bad="""
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: UDP}], rules: {dns: [{matchName: pypi.org}]}}]
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system}}]
      toPorts: [{ports: [{port: "53", protocol: UDP}]}]
    """,
    good="""
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: UDP}], rules: {dns: [{matchName: pypi.org}]}}]
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system}}]
    """,
)
def dns_rules_void(view: View, scope: Scope) -> Iterator[Hit]:
    """Names are restricted, and beside it they are not."""
    for entry in egress_of(view):
        rules = [(one.name, one.pattern) for _, one in dns_rules(entry)]
        if not rules or dns_rules_allow(rules, "any.name.example"):
            continue
        for other in scope.sharing(entry, Direction.EGRESS, kind="filed", wanted=is_plain):
            same = _files_same_ports(other, entry) and scope.subject_covers(other, entry)
            if same and peers_cover(other, entry, scope.facts):
                yield Hit(
                    entry.rule.path,
                    f"its DNS rules restrict nothing: {told(other.rule)} allows the same server "
                    "and port without any",
                    "take the plain rule away, or give it the same `rules.dns`",
                )
                break


def _files_same_ports(other: Entry, entry: Entry) -> bool:
    theirs = {
        (spec.number, spec.end, spec.name, protocol)
        for rule in other.ports
        for spec in rule.ports
        for protocol in spec.protocols
    }
    ours = {
        (spec.number, spec.end, spec.name, protocol)
        for rule in entry.ports
        if rule.layer7.dns
        for spec in rule.ports
        for protocol in spec.protocols
        if protocol != "SCTP"
    }
    return bool(ours) and ours <= theirs


@BOOK.check(
    "NP012",
    "search-domain-refused",
    Severity.WARNING,
    needs=Knowledge.FLOWS,
    why="""A resolver tries the search domains first. The proxy refuses `NAME.NS.svc.cluster.local`
    when no DNS rule permits it, and some resolvers (musl, as in Alpine) give up there.""",
    bad="""
    # with flows in which pypi.org.lung.svc.cluster.local is refused
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchName: pypi.org}]}}]
    """,
    good="""
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts:
      - ports: [{port: "53", protocol: ANY}]
        rules: {dns: [{matchName: pypi.org}, {matchPattern: "**.cluster.local"}]}
    """,
)
def search_domain_refused(view: View, scope: Scope) -> Iterator[Hit]:
    """A question with a search domain behind a permitted name was refused."""
    if scope.flows is None:
        return
    refused = _refused_names(scope)
    for entry in egress_of(view):
        rules = [(one.name, one.pattern) for _, one in dns_rules(entry)]
        for space, asked in refused if rules else ():
            bare = asked.partition(f".{space}.svc.")[0]
            permitted = dns_rules_allow(rules, bare)
            if permitted and entry.namespace in ("", space) and not dns_rules_allow(rules, asked):
                yield Hit(
                    entry.rule.path,
                    f"`{asked}` was refused: pods ask with their search domain first",
                    "permit `**.cluster.local` as well (1.19), or answer nameError",
                )
                break


def _refused_names(scope: Scope) -> Iterable[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for flow in scope.flows.flows if scope.flows else ():
        dns = flow.l7.dns if flow.l7 else None
        space = flow.source.namespace
        if dns is not None and flow.verdict == "DROPPED" and f".{space}.svc." in dns.query:
            found[space, dns.query.rstrip(".")] = None
    return found


def has_dns_rules(entry: Entry) -> bool:
    """Say whether an entry makes DNS visible to the proxy."""
    return any(True for _ in dns_rules(entry))


def selects_dns_server(entry: Entry) -> bool:
    """Say whether an entry's peers are the cluster's DNS by the labels that everybody uses."""
    return any(
        requirement.key == "k8s-app" and "kube-dns" in requirement.values
        for peer in entry.peers or ()
        if isinstance(peer, LabelSelector)
        for requirement in peer.requirements
    )
