"""Can the source ask for a name, is the answer let through, and does Cilium see it?

A toFQDNs rule matches only addresses that Cilium learned from DNS answers which passed its proxy,
that is, of questions that a rule with `rules.dns` admits.
Source: Cilium `Documentation/security/policy/language.rst` (DNS based), `pkg/fqdn/dnsproxy`.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.core.diagnose.ends import ResolvedEnd, hypothetical, of_address, of_endpoint, of_service
from app.core.diagnose.question import DNS_PORT, Leg, ask
from app.core.diagnose.redirect import redirect
from app.core.model.asked import AskedPort
from app.core.model.cluster import Endpoint, Service
from app.core.model.verdict import DnsRequest, Outcome, Protocol, Verdict
from app.core.policy.engine import Engine
from app.core.policy.rules import Entry, FqdnSelector, ParsedPolicy

DNS_QUESTION = AskedPort(DNS_PORT, protocol=Protocol.UDP)
DNS_NAMESPACE = "kube-system"
DNS_LABEL = ("k8s-app", "kube-dns")
_DNS_NAMESPACES = ("kube-system", "openshift-dns")
_DNS_APPS = frozenset({"kube-dns", "coredns", "core-dns"})


@dataclass(frozen=True, slots=True)
class NameReport:
    """What becomes of the source's question for a name.

    `leg` is the connection to the DNS server with that question, `assumed` whether the server
    itself was not in the picture, `learned` whether an answer for the name was seen.
    """

    name: str
    leg: Leg
    assumed: bool = False
    learned: bool = False
    others: tuple[Leg, ...] = ()
    """The questions to the servers of another kind: a cache on the node beside the Service."""

    @property
    def is_blocked(self) -> bool:
        """Whether the server cannot be reached at all, whatever is asked."""
        trace = self.leg.trace
        return Outcome.DENIED in (trace.egress.l4, trace.ingress.l4)

    @property
    def is_refused(self) -> bool:
        """Whether the proxy refuses this name."""
        return not self.is_blocked and self.leg.trace.verdict is Verdict.DENIED

    @property
    def is_visible(self) -> bool:
        """Whether the answer passes the DNS proxy, so that the name is learned."""
        return self.leg.trace.egress.l4 is Outcome.REDIRECTED and not self.is_refused


@dataclass(frozen=True, slots=True)
class NamingRule:
    """A toFQDNs element that means a name."""

    policy: ParsedPolicy
    entry: Entry
    selector: FqdnSelector


def report_name(source: ResolvedEnd, name: str, engine: Engine) -> NameReport | None:
    """Follow the question for `name`; None where no policy of the source can see it (nodes)."""
    if source.endpoint is None or source.peer.endpoint is None:
        return None
    servers = dns_servers(engine)
    assumed = not servers
    ends = (
        *node_local_servers(engine),
        *(servers or (of_endpoint(_assumed_server(engine), engine),)),
    )
    ends = redirect(ends, (source,), engine, DNS_QUESTION)
    legs = [
        ask(source, end, (end.port or DNS_PORT, Protocol.UDP), engine, DnsRequest(name))
        for end in ends
    ]
    best = min(legs, key=lambda leg: leg.is_denied)
    learned = bool(engine.cluster.learned_names.get(name))
    kind = best.destination.peer.kind
    others = tuple(leg for leg in legs if leg.destination.peer.kind is not kind)
    return NameReport(name, best, assumed, learned, others)


def node_local_servers(engine: Engine) -> tuple[ResolvedEnd, ...]:
    """The addresses that a DNS cache on the host network of every node listens on."""
    addresses = engine.cluster.local_addresses
    return tuple(one for address in addresses for one in of_address(address, engine))


def dns_servers(engine: Engine) -> tuple[ResolvedEnd, ...]:
    """The cluster's DNS servers, by their Service, else by the usual label; may be none."""
    services = [service for service in engine.cluster.services if is_dns(service)]
    services.sort(key=lambda service: (service.name != "kube-dns", service.key))
    for service in services:
        ends = of_service(service, engine, DNS_QUESTION)
        if ends:
            return ends
    key, value = DNS_LABEL
    return tuple(
        of_endpoint(endpoint, engine)
        for endpoint in engine.cluster.endpoints
        if endpoint.namespace in _DNS_NAMESPACES and endpoint.pod_labels.get(key) == value
    )


def is_dns(service: Service) -> bool:
    """Say whether a Service is that of the cluster's DNS servers."""
    if service.namespace not in _DNS_NAMESPACES:
        return False
    if not any((port.port, port.protocol) == (DNS_PORT, "UDP") for port in service.ports):
        return False
    return service.name == "kube-dns" or not _DNS_APPS.isdisjoint(service.selector.values())


def _assumed_server(engine: Engine) -> Endpoint:
    return hypothetical(DNS_NAMESPACE, dict((DNS_LABEL,)), engine)


def rules_naming(source: ResolvedEnd, name: str, engine: Engine) -> tuple[NamingRule, ...]:
    """The toFQDNs elements of the source's policies that mean `name`."""
    if source.peer.endpoint is None:
        return ()
    return tuple(
        NamingRule(policy, entry, selector)
        for policy in engine.policies_selecting(source.peer.endpoint)
        if policy.fqdn_selectors
        for entry in policy.entries
        for selector in entry.peers or ()
        if isinstance(selector, FqdnSelector)
        and selector.selects_name(name)
        and entry.selects_subject(source.peer.labels, source.peer.endpoint.namespace)
    )
