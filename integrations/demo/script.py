"""One story written down: which events on which node, in which order, how long after its start.

Shapes follow Cilium 1.19 with monitor aggregation `medium`: a denied packet is a policy-verdict
and a drop, repeated with every retransmission; an allowed one a verdict where policy is enforced
and traces where it passes; a proxied one is redirected and its requests are messages of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow
from app.core.model.verdict import Direction, DnsRequest, HttpRequest, Outcome, Protocol
from integrations.demo.cast import Actor, Cast
from integrations.demo.judge import Judge, Judgement, Ruling
from integrations.demo.wire import (
    CT_FULL,
    ECHO_REQUEST,
    NO_BACKEND,
    POLICY_DENIED,
    POLICY_DENY,
    Link,
    dns_event,
    drop_event,
    http_event,
    trace_event,
    verdict_event,
)

_US, _MS, _S = 1_000, 1_000_000, NS_PER_S
_HOP_NS = 180 * _US
_TWIN_NS = 4 * _US
"""How long after its policy-verdict a drop is reported."""
_LATENCY_NS = 7 * _MS
_SYN_RETRIES_S = (1, 3, 7)
"""When an unanswered SYN is sent again: Linux doubles its first timeout of one second."""
_DNS_RETRIES_S = (5,)
"""When a resolver asks again. Source: resolv.conf(5), `timeout`."""
_BLOCKED = Ruling(Outcome.DENIED, enforced=True)


@dataclass(frozen=True, slots=True)
class Step:
    """One flow of a story; `slot` tells apart its ephemeral ports, None means it has none."""

    after_ns: int
    flow: Flow
    slot: int | None


class Script:
    """Collects the steps of one story; `at_ns` is where it stands."""

    def __init__(self, cast: Cast, judge: Judge) -> None:
        self.steps: list[Step] = []
        self.at_ns = 0
        self._cast = cast
        self._judge = judge
        self._slots = 0

    def wait(self, milliseconds: int) -> None:
        """Let time pass."""
        self.at_ns += milliseconds * _MS

    def connect(
        self,
        source: Actor,
        destination: Actor,
        port: int,
        *,
        requests: tuple[HttpRequest, ...] = (),
        retry: bool = True,
    ) -> bool:
        """Open a TCP connection and use it; say whether it was let through.

        Without `retry` an unanswered SYN is not repeated, as port scanners do.
        """
        link = self._link(source, destination, port)
        judgement = self._judge.judge(source, destination, port=port)
        if not self._open(link, judgement, retries_s=_SYN_RETRIES_S if retry else ()):
            return False
        self._reply(link, flags="SYN,ACK")
        for request in requests:
            self.wait(2)
            self._request(link, judgement, request)
        self.wait(40)
        self._arrive(link, flags="PSH,ACK", reason="ESTABLISHED")
        self.wait(120)
        self._arrive(link, flags="FIN,ACK", reason="ESTABLISHED")
        return True

    def look_up(self, source: Actor, name: str) -> bool:
        """Ask the cluster's DNS server for a name; say whether an answer came back."""
        server = self._name_server()
        link = self._link(source, server, 53, Protocol.UDP)
        judgement = self._judge_dns(source)
        if judgement.egress.redirected:
            return self._look_up_by_proxy(link, judgement, name)
        if not self._open(link, judgement, retries_s=_DNS_RETRIES_S):
            return False
        self._reply(link, flags="")
        self.wait(1)
        return True

    def _look_up_by_proxy(self, link: Link, judgement: Judgement, name: str) -> bool:
        asked = self._judge.judge(
            link.source, link.destination, port=53, protocol=Protocol.UDP, request=DnsRequest(name)
        )
        self._leave(link, judgement.egress)
        self.at_ns += _HOP_NS
        self._add(link, dns_event(link, name, refused=asked.egress.denied))
        if asked.egress.denied:
            return False
        if not self._enter(link, judgement.ingress, retries_s=_DNS_RETRIES_S):
            return False
        self.wait(3)
        self._add(link, dns_event(link, name, answer=self._cast.resolve(name)))
        self.wait(1)
        return True

    def learns(self, source: Actor) -> bool:
        """Whether Cilium gets to see the DNS answers of a pod."""
        return self._judge_dns(source).egress.redirected

    def ping(self, source: Actor, destination: Actor) -> None:
        """Send one echo request."""
        link = Link(source, destination, ECHO_REQUEST, Protocol.ICMP)
        judgement = self._judge.judge(
            source, destination, port=ECHO_REQUEST, protocol=Protocol.ICMP
        )
        if self._open(link, judgement, retries_s=(1,)):
            self._reply(link, flags="")

    def drop_of_the_past(self, source: Actor, destination: Actor, port: int) -> None:
        """An ingress drop that an earlier version of the policies caused."""
        link = self._link(source, destination, port)
        self._lose(link, _BLOCKED, Direction.INGRESS, _SYN_RETRIES_S[:2])

    def miss_backend(self, source: Actor, address: str, port: int) -> None:
        """Call a Service that no pod stands behind: the load balancer drops, not a policy."""
        service = self._cast.outside(address, learned=False)
        self._drop(self._link(source, service, port), NO_BACKEND)

    def fail_tracking(self, source: Actor, destination: Actor, port: int) -> None:
        """Connect while the node's connection tracking table is full."""
        self._drop(self._link(source, destination, port), CT_FULL)

    def _drop(self, link: Link, reason: int) -> None:
        """A drop that is no policy's: without a verdict, and repeated with every retry."""
        for retry_s in (0, *_SYN_RETRIES_S):
            event = drop_event(link, reason, Direction.EGRESS)
            self.steps.append(Step(self.at_ns + retry_s * _S, event, link.slot))

    def _name_server(self) -> Actor:
        return self._cast.pod("kube-system/coredns")

    def _judge_dns(self, source: Actor) -> Judgement:
        return self._judge.judge(source, self._name_server(), port=53, protocol=Protocol.UDP)

    def _link(
        self, source: Actor, destination: Actor, port: int, protocol: Protocol = Protocol.TCP
    ) -> Link:
        self._slots += 1
        return Link(source, destination, port, protocol, self._slots)

    def _add(self, link: Link, flow: Flow) -> None:
        self.steps.append(Step(self.at_ns, flow, link.slot))

    def _open(self, link: Link, judgement: Judgement, *, retries_s: tuple[int, ...]) -> bool:
        """Write the first packet down on both nodes; False when it and its retries are lost."""
        if judgement.egress.denied:
            self._lose(link, judgement.egress, Direction.EGRESS, retries_s)
            return False
        self._leave(link, judgement.egress)
        self.at_ns += _HOP_NS
        return self._enter(link, judgement.ingress, retries_s=retries_s)

    def _enter(self, link: Link, ruling: Ruling, *, retries_s: tuple[int, ...]) -> bool:
        if ruling.denied:
            self._lose(link, ruling, Direction.INGRESS, retries_s)
            return False
        if ruling.enforced:
            self._add(link, verdict_event(link, ruling, Direction.INGRESS))
        if ruling.redirected:
            self._trace(link, "TO_PROXY", Direction.INGRESS)
        else:
            self._arrive(link, flags=link.first_flags, reason="NEW")
        return True

    def _leave(self, link: Link, ruling: Ruling) -> None:
        if not link.source.managed:
            return
        if ruling.enforced:
            self._add(link, verdict_event(link, ruling, Direction.EGRESS))
        if ruling.redirected:
            self._trace(link, "TO_PROXY", Direction.EGRESS)
        elif link.destination.managed and link.destination.node != link.source.node:
            self._trace(link, "TO_OVERLAY", Direction.EGRESS)
        elif not link.destination.managed:
            self._trace(link, "TO_STACK", Direction.EGRESS)

    def _lose(
        self, link: Link, ruling: Ruling, direction: Direction, retries_s: tuple[int, ...]
    ) -> None:
        reason = POLICY_DENY if ruling.explicit else POLICY_DENIED
        start_ns = self.at_ns
        for retry_s in (0, *retries_s):
            self.at_ns = start_ns + retry_s * _S
            self._add(link, verdict_event(link, ruling, direction))
            self.at_ns += _TWIN_NS
            self._add(link, drop_event(link, reason, direction))

    def _trace(self, link: Link, point: str, direction: Direction) -> None:
        event = trace_event(
            link,
            point,
            direction,
            flags=link.first_flags,
            reason="NEW",
            node=link.node(direction),
        )
        self._add(link, event)

    def _arrive(self, link: Link, *, flags: str, reason: str) -> None:
        """A packet of the caller reaches the destination's endpoint."""
        if not link.destination.managed:
            return
        node = link.destination.node
        event = trace_event(
            link, "TO_ENDPOINT", Direction.INGRESS, flags=flags, reason=reason, node=node
        )
        self._add(link, event)

    def _reply(self, link: Link, *, flags: str) -> None:
        """A packet of the destination comes back, and is seen where the caller lives."""
        self.at_ns += 2 * _HOP_NS
        point, direction, node = "TO_ENDPOINT", Direction.EGRESS, link.source.node
        if not link.source.managed:
            point, direction, node = "TO_STACK", Direction.INGRESS, link.destination.node
        event = trace_event(link, point, direction, flags=flags, reason="REPLY", node=node)
        self._add(link, event)

    def _request(self, link: Link, judgement: Judgement, request: HttpRequest) -> None:
        if not judgement.ingress.redirected:
            return
        asked = self._judge.judge(link.source, link.destination, port=link.port, request=request)
        refused = asked.ingress.denied
        self._add(link, http_event(link, Direction.INGRESS, request, refused=refused))
        latency_ns = _MS // 2 if refused else _LATENCY_NS
        self.at_ns += latency_ns
        code = 403 if refused else 200
        event = http_event(link, Direction.INGRESS, request, code=code, latency_ns=latency_ns)
        self._add(link, event)
