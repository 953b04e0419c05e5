"""Under which names a pod's DNS answers came: its search list, CoreDNS autopath and CNAMEs.

Cilium learns the addresses of an answer for the name of its question, never for the names in its
CNAME records. With CoreDNS's `autopath` the first form of a pod's search list is answered at once,
so that the name as written is never asked for.
Source: Cilium `pkg/fqdn/messagehandler/message_handler.go` `UpdateOnDNSMsg` (`qname`);
CoreDNS `plugin/autopath`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address

from app.core.diagnose.ends import ResolvedEnd
from app.core.diagnose.evidence import FlowEvidence, Spot
from app.core.model.cluster import Address, IdentityKind
from app.core.model.flow import DnsInfo, Flow
from app.core.policy.engine import Engine


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that leads to a name which was not itself asked for; `query` is what was."""

    query: str
    addresses: tuple[Address, ...]
    is_search_form: bool
    uuid: str = ""


def answered_as(evidence: FlowEvidence | None, source: Spot, name: str) -> tuple[Answered, ...]:
    """The answers by which a source got the addresses of `name` under other names.

    None where the name itself was answered: then it is learned.
    """
    found: dict[str, Answered] = {}
    for flow in evidence.flows if evidence is not None else ():
        dns = flow.l7.dns if flow.l7 is not None else None
        if dns is None or not dns.ips or not _is_for(flow, source):
            continue
        query = _plain(dns.query)
        if query == name:
            return ()
        searched = query.startswith(f"{name}.")
        if searched or name in map(_plain, dns.cnames):
            found.setdefault(query, Answered(query, _addresses(dns), searched, flow.uuid))
    return tuple(found.values())


def _is_for(flow: Flow, source: Spot) -> bool:
    return source.holds(flow.destination, flow.destination_ip) or source.holds(
        flow.source, flow.source_ip
    )


def _plain(name: str) -> str:
    return name.rstrip(".").lower()


def _addresses(dns: DnsInfo) -> tuple[Address, ...]:
    found = []
    for text in dns.ips:
        try:
            found.append(ip_address(text))
        except ValueError:
            continue
    return tuple(found)


def with_answers(
    ends: tuple[ResolvedEnd, ...], answered: tuple[Answered, ...], engine: Engine
) -> tuple[ResolvedEnd, ...]:
    """A name outside that nobody learned, as the addresses and names that the answers gave."""
    if not answered or any(
        end.peer.kind is not IdentityKind.WORLD or end.peer.address is not None for end in ends
    ):
        return ends
    return (
        tuple(
            _end(end, address, one.query, engine)
            for end in ends
            for one in answered
            for address in one.addresses
        )
        or ends
    )


def _end(end: ResolvedEnd, address: Address, query: str, engine: Engine) -> ResolvedEnd:
    peer = engine.peer_of_address(address, frozenset({query}))
    text = f"{end.name} ({address})"
    return replace(end, peer=replace(peer, text=text), text=text)
