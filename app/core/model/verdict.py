"""Questions about a connection, the verdict, and the trace that explains it.

The trace is the only thing explanations are made of: screen, command line and chat filter it, so
they cannot disagree. Words are Cilium's (verdict, egress, peer) and the contract's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.core.model.cluster import Address, Endpoint, IdentityKind
from app.core.model.labels import LabelSet
from app.core.model.provenance import ObjectRef, RuleRef


class Direction(StrEnum):
    """Which end's policy is asked: egress of the source or ingress of the destination."""

    EGRESS = "egress"
    INGRESS = "ingress"


class Protocol(StrEnum):
    """The protocols a policy can name; ICMP types take the place of the port."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"
    ICMP = "ICMP"
    ICMPV6 = "ICMPv6"


class Verdict(StrEnum):
    """`REDIRECTED`: allowed at layer 3/4, the proxy decides each request."""

    ALLOWED = "allowed"
    DENIED = "denied"
    REDIRECTED = "redirected"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """One direction's answer.

    `NOT_ENFORCED`: no policy, so allowed. `NOT_APPLICABLE`: no policy can apply at this end
    (outside, node, host network).
    """

    ALLOWED = "allowed"
    DENIED = "denied"
    REDIRECTED = "redirected"
    NOT_ENFORCED = "not-enforced"
    NOT_APPLICABLE = "not-applicable"


class Effect(StrEnum):
    """What a rule does to what it matches."""

    ALLOW = "allow"
    DENY = "deny"


class Dimension(StrEnum):
    """The first thing about a rule that did not fit a connection (docs/forms.md §4.1)."""

    PEER = "peer"
    PORT = "port"
    PROTOCOL = "protocol"
    L7 = "l7"
    FQDN = "fqdn"
    CIDR = "cidr"
    NAMESPACE = "namespace"


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a connection as policy sees it.

    `endpoint` is set when it is a pod whose own policy is asked. `address` and `names` matter for
    world peers only: CIDR rules match the address, toFQDNs rules the learned names (lower-case,
    no final dot).
    """

    kind: IdentityKind
    labels: LabelSet
    text: str
    endpoint: Endpoint | None = None
    address: Address | None = None
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as Envoy matches it: `path` includes the query string."""

    method: str = "GET"
    path: str = "/"
    host: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DnsRequest:
    """A DNS question by name, as asked."""

    name: str


@dataclass(frozen=True, slots=True)
class SniRequest:
    """A TLS client hello by server name."""

    name: str


Request = HttpRequest | DnsRequest | SniRequest


@dataclass(frozen=True, slots=True)
class Question:
    """May `source` open `protocol`/`port` to `destination`, and send `request` over it?

    `port` is the destination port after Service translation; for ICMP it is the type.
    """

    source: Peer
    destination: Peer
    port: int
    protocol: Protocol = Protocol.TCP
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class DirectionDecision:
    """One direction without reasons. `l4` is the answer before the request was looked at."""

    outcome: Outcome
    by: tuple[ObjectRef, ...] = ()
    l4: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict without reasons: what `matrix`, `check` and `conformance` need, quickly."""

    verdict: Verdict
    egress: DirectionDecision
    ingress: DirectionDecision


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that matched; `l7` when it holds the connection to layer 7 rules."""

    rule: RuleRef
    effect: Effect
    l7: bool = False


@dataclass(frozen=True, slots=True)
class Miss:
    """A rule that did not match, and the first dimension that failed.

    `wanted` is what the rule asks for, `got` what the connection has, both ready to show.
    `path` points at the failing part, as `spec.egress[1].toPorts[0].ports[0]`. `nearness` orders
    misses: higher is nearer to a match.
    """

    rule: RuleRef
    failed_on: Dimension
    wanted: str
    got: str
    path: str = ""
    nearness: int = 0

    @property
    def words(self) -> str:
        """`names 80, the connection has 8080/TCP`, to stand behind what names the rule."""
        got = self.got or "none"
        verb = "" if got.startswith("lacks ") else "has "
        return f"names {self.wanted or 'nothing'}, the connection {verb}{got}"


@dataclass(frozen=True, slots=True)
class RequestMatch:
    """What layer 7 rules said of the request: each rule tried, in order, and whether it let it."""

    rule: RuleRef
    text: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class DirectionTrace:
    """Everything the evaluation of one direction looked at.

    `default_deny_by` are the rules that turned default deny on. `implicit` names a rule that is
    not a policy's (`allow-localhost`, `reserved-init`, `enforcement-always`, …), or says that there
    is `nothing-to-connect-to`. `uncertain` are sentences about areas where Cilium's behaviour is
    not established.
    """

    direction: Direction
    outcome: Outcome
    l4: Outcome
    default_deny: bool = False
    default_deny_by: tuple[RuleRef, ...] = ()
    selected_by: tuple[ObjectRef, ...] = ()
    matched: tuple[Match, ...] = ()
    missed: tuple[Miss, ...] = ()
    requests: tuple[RequestMatch, ...] = ()
    implicit: str = ""
    uncertain: tuple[str, ...] = ()

    @property
    def nearest(self) -> tuple[Miss, ...]:
        """The misses, nearest first; deny rules last, since none of them would let it through."""
        return tuple(sorted(self.missed, key=lambda miss: (miss.rule.denies, -miss.nearness)))


@dataclass(frozen=True, slots=True)
class ConnectionTrace:
    """The verdict with the trace of both directions."""

    question: Question
    verdict: Verdict
    egress: DirectionTrace
    ingress: DirectionTrace
