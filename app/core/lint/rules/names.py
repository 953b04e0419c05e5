"""Names outside: toFQDNs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.core.drafts.edits import MergeItem, parse_path
from app.core.lint.finding import Hit, Severity
from app.core.lint.rule import Book
from app.core.lint.scope import Scope
from app.core.lint.view import View, mapping
from app.core.model.verdict import Direction, Effect
from app.core.policy.names import FIRST_WITH_WHOLE_LABELS
from app.core.policy.rules import DnsRule, Entry, FqdnSelector, PortRule

BOOK = Book()

DNS_PORT = 53
_CLUSTER_SUFFIXES = (".svc.cluster.local", ".cluster.local", ".svc")
_SUBJECT_DOMAIN = re.compile(r"\*\.([-a-z0-9]+\.[-a-z0-9]+)\.?\Z")
_NO_APEX = re.compile(
    r"(amazonaws\.com|windows\.net|azure\.com|googleapis\.com|cloudfront\.net|"
    r"githubusercontent\.com|akamaized\.net|fastly\.net|gvt1\.com|azureedge\.net|"
    r"azurecr\.io|r2\.dev|pkg\.dev|gcr\.io|cloudflarestorage\.com)\Z"
)
"""Domains whose bare name serves nothing, so that nobody misses it."""

_CDN = re.compile(
    r"(\.|\A)(cloudfront\.net|akamaiedge\.net|akamai\.net|edgekey\.net|edgesuite\.net|"
    r"fastly\.net|fastlylb\.net|azurefd\.net|trafficmanager\.net|cdn\.cloudflare\.net)\.?\Z"
)
_ROTATING = re.compile(
    r"(\A|\.)(s3([.-][-a-z0-9*]+)?\.amazonaws\.com|sns\.[-a-z0-9*]+\.amazonaws\.com|"
    r"sqs\.[-a-z0-9*]+\.amazonaws\.com)\.?\Z"
)


def dns_rules(entry: Entry) -> Iterator[tuple[PortRule, DnsRule]]:
    """Yield the DNS rules of an egress allow."""
    for rule in entry.ports:
        for one in rule.layer7.dns:
            yield rule, one


def names_of(entry: Entry) -> tuple[FqdnSelector, ...]:
    """Give the toFQDNs elements of an entry."""
    return tuple(peer for peer in entry.peers or () if isinstance(peer, FqdnSelector))


def is_open(name: str) -> bool:
    """Say whether a name holds a placeholder that nobody filled."""
    return "${" in name


def egress_of(view: View, effect: Effect = Effect.ALLOW) -> Iterator[Entry]:
    """Yield the egress rules of a policy that allow, or deny."""
    for entry in view.entries:
        if entry.direction is Direction.EGRESS and entry.effect is effect:
            yield entry


@BOOK.check(
    "NP003",
    "fqdn-and-port-in-separate-rules",
    Severity.ERROR,
    why="""Items of a list are alternatives. An item with ports only opens them to everybody, and
    the item with peers only opens all their ports: together they allow far more than the one item
    with both that was meant.""",
    bad="""
    egress:
    - toFQDNs: [{matchName: pypi.org}]
    - toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    """,
    good="""
    egress:
    - toFQDNs: [{matchName: pypi.org}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    """,
)
def peer_and_port_apart(view: View, _scope: Scope) -> Iterator[Hit]:
    """A ports-only item beside peers-only ones."""
    found = list(split_rules(view))
    for path, peers_path, what in found:
        edits, certain = _joined(view, path, peers_path), what == "toFQDNs" and len(found) == 1
        yield Hit(
            path,
            f"its ports are open to everyone, and `{what}` of {peers_path.rpartition('.')[2]} "
            "on every port: two items are alternatives",
            "write peers and ports in one item",
            severity=None if what in ("toFQDNs", "toCIDR", "toCIDRSet") else Severity.WARNING,
            edits=edits,
            certain=certain and bool(edits),
        )


def _joined(view: View, path: str, peers_path: str) -> tuple[MergeItem, ...]:
    """The edit that makes one item of two that stand side by side and are the only such ones."""
    item = next(one for one in view.items if one.path == path)
    alone = [
        one
        for one in view.items
        if (one.rule_path, one.direction, one.effect)
        == (item.rule_path, item.direction, item.effect)
        and one.peer_fields
        and not one.has_ports
    ]
    first, second = sorted(map(parse_path, (path, peers_path)), key=lambda one: int(one[-1]))
    beside = int(second[-1]) - int(first[-1]) == 1
    return (MergeItem(second),) if beside and len(alone) == 1 else ()


def split_rules(view: View) -> Iterator[tuple[str, str, str]]:
    """Yield (path of a ports-only item, of the peers-only item that it belongs to, its field).

    It stands next to it; toFQDNs, which nobody wants on every port, anywhere in the rule.
    """
    if view.is_kubernetes:
        return
    items = [item for item in view.items if item.effect is Effect.ALLOW]
    for at, item in enumerate(items):
        if item.peer_fields or not item.has_ports or not any(True for _ in item.ports()):
            continue
        if all(str(mapping(port).get("port")) == str(DNS_PORT) for port, _ in item.ports()):
            continue  # DNS of whatever server, which shows names to the proxy
        beside = (*items[max(at - 1, 0) : at], *items[at + 1 : at + 2])
        named = (one for one in items if one.peer_fields == ("toFQDNs",))
        for other in (*beside, *named):
            same = (other.rule_path, other.direction) == (item.rule_path, item.direction)
            if same and other.peer_fields and not other.has_ports:
                if set(other.peer_fields) & {"toEntities", "fromEntities"}:
                    continue  # `all` or `cluster` on every port is a rule of its own
                yield item.path, other.path, other.peer_fields[0]
                break


@BOOK.check(
    "NP004",
    "wildcard-without-apex",
    Severity.INFO,
    why="""`*.example.org` is exactly one label in front: neither `example.org` itself nor
    `a.b.example.org` (Cilium pkg/fqdn/matchpattern).""",
    bad="""
    egress:
    - toFQDNs: [{matchPattern: "*.pypi.org"}]
    """,
    good="""
    egress:
    - toFQDNs: [{matchPattern: "*.pypi.org"}, {matchName: pypi.org}]
    """,
)
def wildcard_without_apex(view: View, scope: Scope) -> Iterator[Hit]:
    """`*.example.org` without `example.org`."""
    for entry in egress_of(view):
        for name in names_of(entry):
            match = _SUBJECT_DOMAIN.match(name.pattern.lower())
            if match is None or _NO_APEX.search(match[1]) or match[1] in scope.suffixes:
                continue
            others = scope.sharing(entry, Direction.EGRESS, kind="names", wanted=_has_names)
            if not any(one.selects_name(match[1]) for other in others for one in names_of(other)):
                yield Hit(
                    name.path,
                    f"`{name.pattern}` does not hold `{match[1]}` itself",
                    f"add `matchName: {match[1]}` if it is asked for too",
                )


def _has_names(entry: Entry) -> bool:
    return bool(names_of(entry))


@BOOK.check(
    "NP005",
    "double-star-before-1.19",
    Severity.ERROR,
    why="""Up to Cilium 1.18 `**.` at the start of a pattern means the same as `*.`: one label.""",
    bad="""
    # read by Cilium 1.18
    egress:
    - toFQDNs: [{matchPattern: "**.amazonaws.com"}]
    """,
    good="""
    # read by Cilium 1.18
    egress:
    - toFQDNs: [{matchPattern: "*.amazonaws.com"}, {matchPattern: "*.*.amazonaws.com"}]
    """,
)
def double_star_before_119(view: View, scope: Scope) -> Iterator[Hit]:
    """A pattern that this version reads as a single star."""
    if scope.version >= FIRST_WITH_WHOLE_LABELS:
        return
    patterns = [(one.pattern, one.path) for entry in egress_of(view) for one in names_of(entry)]
    patterns += [
        (one.pattern, one.where) for entry in egress_of(view) for _, one in dns_rules(entry)
    ]
    for pattern, path in patterns:
        if pattern.startswith("**."):
            yield Hit(
                path,
                f"`{pattern}` is one label only in this version",
                "write out the levels, or upgrade to Cilium 1.19",
            )


@BOOK.check(
    "NP006",
    "cname-target-named",
    Severity.INFO,
    why="""Addresses are learned under the name that was asked. A rule for the name at the end of a
    CNAME chain matches nothing while the pods ask for the alias.""",
    bad="""
    egress:
    - toFQDNs: [{matchName: e1234.a.akamaiedge.net}]
    """,
    good="""
    egress:
    - toFQDNs: [{matchName: downloads.example.org}]
    """,
)
def cname_target_named(view: View, _scope: Scope) -> Iterator[Hit]:
    """A host of a content network, which nobody asks for by that name."""
    for entry in egress_of(view):
        for name in names_of(entry):
            if name.name and _CDN.search(name.name.lower()):
                yield Hit(
                    name.path,
                    f"`{name.name}` looks like the target of an alias, not like what pods ask for",
                    "name what the application asks for",
                )


@BOOK.check(
    "NP007",
    "fqdn-of-the-cluster",
    Severity.ERROR,
    why="""toFQDNs matches addresses outside only: what resolves to a pod, a node, a Service or the
    cluster's own gateway has the identity of that, not of its name.""",
    bad="""
    egress:
    - toFQDNs: [{matchName: hub.jupyterhub.svc.cluster.local}]
    """,
    good="""
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: jupyterhub, component: hub}}]
    """,
)
def fqdn_of_the_cluster(view: View, scope: Scope) -> Iterator[Hit]:
    """A name of the cluster domain, or one that an own route serves."""
    hosts = {host.lower() for route in scope.cluster.routes for host in route.hostnames}
    for entry in egress_of(view):
        for name in names_of(entry):
            written = name.text.lower().rstrip(".")
            if any(map(name.selects_name, scope.names_outside)):
                continue
            if written.endswith(_CLUSTER_SUFFIXES):
                yield Hit(
                    name.path,
                    f"`{name.text}` is a name of the cluster: toFQDNs never matches pods",
                    "select the pods with toEndpoints",
                )
            elif written in hosts or f"*.{written.partition('.')[2]}" in hosts:
                yield Hit(
                    name.path,
                    f"`{name.text}` is served by this cluster's own gateway",
                    "allow the pods behind the route: the gateway asks about those",
                    severity=None if name.name and written in hosts else Severity.WARNING,
                )


@BOOK.check(
    "NP008",
    "rotating-addresses",
    Severity.INFO,
    why="""Such services hand out other addresses with every answer and with a short time to live; a
    client that keeps an address longer, or asks on another node, meets one that was not learned
    (issues 28427, 20650).""",
    bad="""
    egress:
    - toFQDNs: [{matchName: s3.eu-west-2.amazonaws.com}]
    """,
    good="""
    egress:
    - toCIDRSet: [{cidrGroupRef: s3-eu-west-2}]
    """,
)
def rotating_addresses(view: View, _scope: Scope) -> Iterator[Hit]:
    """A name that is known to change its addresses all the time."""
    for entry in egress_of(view):
        for name in names_of(entry):
            if _ROTATING.search(name.text.lower()):
                yield Hit(
                    name.path,
                    f"`{name.text}` changes its addresses with every answer",
                    "raise tofqdns-min-ttl, or use a CIDR group or a proxy",
                )
                break


@BOOK.check(
    "NP126",
    "public-suffix-pattern",
    Severity.WARNING,
    why="""Anybody can register a name under a public suffix (`*.co.uk`, `*.com`, or a host where
    everybody may have a name, as `*.s3.amazonaws.com`), so the rule opens the way to whoever wants
    to be reached (publicsuffix.org).""",
    bad="""
    egress:
    - toFQDNs: [{matchPattern: "*.co.uk"}]
    """,
    good="""
    egress:
    - toFQDNs: [{matchPattern: "*.ox.ac.uk"}]
    """,
)
def public_suffix_pattern(view: View, scope: Scope) -> Iterator[Hit]:
    """A pattern that holds names which anybody can have."""
    for entry in egress_of(view):
        for name in names_of(entry):
            base = re.sub(r"\A(\*+\.)+", "", name.pattern.lower()).rstrip(".")
            if not name.pattern or is_open(name.pattern) or "*" in base:
                continue
            if not base.strip("."):
                if name.pattern.strip("*.") == "":
                    yield Hit(name.path, f"`{name.pattern}` is every name there is")
                continue
            if base in scope.suffixes:
                said = f"`{name.pattern}` holds names that anybody can register"
            elif name.pattern.startswith("**.") and (under := scope.suffixes_under(base)):
                said = (
                    f"`{name.pattern}` holds names that anybody can have: "
                    f"everything under `{under[0]}` is among them"
                )
            else:
                continue
            yield Hit(name.path, said, "name the hosts that are needed")
