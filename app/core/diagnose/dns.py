"""Can the source ask for a name, is the answer let through, and does Cilium see it?

A toFQDNs rule matches only addresses that Cilium learned from DNS answers which passed its proxy,
that is, of questions that a rule with `rules.dns` admits.
Source: Cilium `Documentation/security/policy/language.rst` (DNS based), `pkg/fqdn/dnsproxy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.core.diagnose.ends import ResolvedEnd, hypothetical, of_address, of_endpoint, of_service
from app.core.diagnose.question import DNS_PORT, Leg, ask
from app.core.diagnose.redirect import redirect
from app.core.model.asked import AskedPort
from app.core.model.cluster import Cluster, Endpoint, Service
from app.core.model.verdict import DnsRequest, Outcome, Protocol, Verdict
from app.core.policy.engine import Engine
from app.core.policy.rules import Entry, FqdnSelector, ParsedPolicy

DNS_QUESTION = AskedPort(DNS_PORT, protocol=Protocol.UDP)
DNS_NAMESPACE = "kube-system"
DNS_LABEL = ("k8s-app", "kube-dns")
_SERVICE_NAMES = ("kube-dns", "coredns", "rke2-coredns-rke2-coredns", "dns-default")
_APPS = frozenset({"kube-dns", "coredns", "core-dns", "rke2-coredns"})
"""What DNS servers are called in labels, whatever the key."""
_OPENSHIFT = "dns.operator.openshift.io/daemonset-dns"
_TOLD, _NAMED, _LABELLED, _ON_ITS_PORT, _NOT = 4, 3, 2, 1, 0
"""How a Service shows that it is the cluster's DNS: kubelets are told its address; it has a usual
name; it selects by usual labels; it listens on port 53, as any other DNS server would."""


@dataclass(frozen=True, slots=True)
class NameReport:
    """What becomes of the source's question for a name.

    `leg` is the connection to the DNS server with that question, `assumed` says why it is not known
    that this is the server (empty: it is), `learned` whether an answer for the name was seen.
    """

    name: str
    leg: Leg
    assumed: str = ""
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
    servers = servers_of(source, engine)
    ends = redirect(servers.ends, (source,), engine, DNS_QUESTION)
    legs = [
        ask(source, end, (end.port or DNS_PORT, Protocol.UDP), engine, DnsRequest(name))
        for end in ends
    ]
    best = min(legs, key=lambda leg: leg.is_denied)
    learned = bool(engine.cluster.learned_names.get(name))
    kind = best.destination.peer.kind
    others = tuple(leg for leg in legs if leg.destination.peer.kind is not kind)
    return NameReport(name, best, servers.assumed, learned, others)


@dataclass(frozen=True, slots=True)
class DnsServers:
    """Whom a pod asks for names; `assumed` says why that is not known (empty: it is)."""

    ends: tuple[ResolvedEnd, ...]
    assumed: str = ""


def servers_of(source: ResolvedEnd, engine: Engine) -> DnsServers:
    """The servers that a pod asks: its own where it names some, else those of node and cluster.

    Source: Kubernetes `PodSpec.dnsPolicy` (None, Default).
    """
    pod = source.endpoint
    if pod is not None and pod.nameservers:
        ends = [end for one in pod.nameservers for end in of_address(one, engine, DNS_QUESTION)]
        return DnsServers(tuple(ends))
    servers = dns_servers(engine)
    servers = replace(servers, ends=(*node_local_servers(engine), *servers.ends))
    if pod is not None and pod.resolves_as_node:
        said = f"which DNS server {pod.key} asks: that of its node (dnsPolicy: Default)"
        return replace(servers, assumed=said)
    return servers


def node_local_servers(engine: Engine) -> tuple[ResolvedEnd, ...]:
    """The addresses that a DNS cache on the host network of every node listens on."""
    addresses = engine.cluster.local_addresses
    return tuple(one for address in addresses for one in of_address(address, engine))


def dns_servers(engine: Engine) -> DnsServers:
    """The cluster's DNS servers, by what they are: in any namespace, on whatever pod port.

    The address that kubelets are told decides, then names and labels of DNS servers; any Service on
    port 53, or the usual labels where there is none, is an assumption.
    Source: `coredns/deployment` and kubeadm (`k8s-app: kube-dns`), OpenShift's DNS operator
    (`dns-default`, pod port 5353), RKE2's chart.
    """
    cluster = engine.cluster
    ranked = [(_likeness(one, cluster), one) for one in cluster.services]
    ranked.sort(key=lambda pair: (-pair[0], _place(pair[1]), pair[1].key))
    for likeness, service in ranked:
        if likeness == _NOT:
            break
        ends = of_service(service, engine, DNS_QUESTION)
        if ends and likeness > _ON_ITS_PORT:
            return DnsServers(ends)
        if ends and not (pods := _labelled_pods(engine)):
            return DnsServers(ends, f"the DNS server: {service.key} was taken for it by its port")
        if ends:
            return DnsServers(pods)
    pods = _labelled_pods(engine)
    usual = (of_endpoint(_assumed_server(engine), engine),)
    return DnsServers(pods) if pods else DnsServers(usual, _ASSUMED)


_ASSUMED = "the DNS server: none was in the picture, so the usual labels were assumed"


def _labelled_pods(engine: Engine) -> tuple[ResolvedEnd, ...]:
    return tuple(
        of_endpoint(endpoint, engine)
        for endpoint in engine.cluster.endpoints
        if _has_dns_labels(endpoint.pod_labels) and not endpoint.host_network
    )


def is_dns(service: Service, cluster: Cluster) -> bool:
    """Say whether a Service is that of the cluster's DNS servers, and not only on their port."""
    return _likeness(service, cluster) > _ON_ITS_PORT


def _likeness(service: Service, cluster: Cluster) -> int:
    if not any((port.port, port.protocol) == (DNS_PORT, "UDP") for port in service.ports):
        return _NOT
    if not set(cluster.dns_addresses).isdisjoint(service.cluster_ips):
        return _TOLD
    if service.name in _SERVICE_NAMES:
        return _NAMED
    return _LABELLED if _has_dns_labels(service.selector) else _ON_ITS_PORT


def _has_dns_labels(labels: Mapping[str, str]) -> bool:
    return _OPENSHIFT in labels or not _APPS.isdisjoint(labels.values())


def _place(service: Service) -> int:
    """The place of a Service's name among the usual ones."""
    names = _SERVICE_NAMES
    return names.index(service.name) if service.name in names else len(names)


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
