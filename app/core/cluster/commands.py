"""The `kubectl`, `hubble` and `cilium-dbg` commands that show the same evidence as a step.

Every word is quoted for a POSIX shell, so a hostile name in a command that is copied stays a word.
Flags: `hubble observe --help` and `cilium-dbg --help` of 1.19.
"""

from __future__ import annotations

import shlex

from app.core.model.cluster import Endpoint, Service
from app.core.model.kinds import CCNP, CNP, KNP
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Direction, Peer, Protocol

_AGENT = ("kubectl", "-n", "kube-system", "exec", "ds/cilium", "--", "cilium-dbg")
_RESOURCES = {
    CNP: "ciliumnetworkpolicy",
    CCNP: "ciliumclusterwidenetworkpolicy",
    KNP: "networkpolicy",
    "ClusterNetworkPolicy": "clusternetworkpolicy",
}


def get_pod(endpoint: Endpoint) -> str:
    """Show a pod with its labels, node and address."""
    return _join(
        "kubectl", "-n", endpoint.namespace, "get", "pod", endpoint.name, "-o=wide", "--show-labels"
    )


def get_backends(service: Service) -> str:
    """Show the addresses, ports and readiness behind a Service."""
    selector = f"-l=kubernetes.io/service-name={service.name}"
    return _join("kubectl", "-n", service.namespace, "get", "endpointslices", selector, "-o=yaml")


def get_policy(ref: ObjectRef) -> str:
    """Show a policy as the cluster holds it."""
    namespace = ("-n", ref.namespace) if ref.namespace else ()
    kind = _RESOURCES.get(ref.kind, ref.kind.lower())
    return _join("kubectl", *namespace, "get", kind, ref.name, "-o=yaml")


def list_policies(namespace: str) -> str:
    """List every policy that can select pods of a namespace."""
    return _join("kubectl", "-n", namespace, "get", "cnp,ccnp,netpol")


def observe(
    source: Peer, destination: Peer, port: int, protocol: Protocol, *, verdict: str = ""
) -> str:
    """Show the flows of a connection."""
    words = ["hubble", "observe", *_end("from", source), *_end("to", destination)]
    if protocol in (Protocol.ICMP, Protocol.ICMPV6):
        words += ["--protocol", protocol.value.lower()]
    else:
        words += ["--to-port", str(port), "--protocol", protocol.value.lower()]
    if verdict:
        words += ["--verdict", verdict]
    return _join(*words, "--last", "20")


def observe_dns(source: Peer) -> str:
    """Show the DNS questions of a pod; answers come back to it, so both directions are asked."""
    words = [word.replace("--from-", "--") for word in _end("from", source)]
    return _join("hubble", "observe", *words, "--protocol", "dns", "--last", "20")


def cached_names(name: str) -> str:
    """Show which addresses an agent has learned for a name."""
    return _join(*_AGENT, "fqdn", "cache", "list", "--matchpattern", name)


def list_endpoints() -> str:
    """Show what an agent enforces, and its policy revision, per endpoint."""
    return _join(*_AGENT, "endpoint", "list")


def verdicts(direction: Direction) -> str:
    """Watch policy verdicts as they are made."""
    return _join("hubble", "observe", "--type", "policy-verdict", "--traffic-direction",
                 direction.value, "--follow")  # fmt: skip


def _end(side: str, peer: Peer) -> list[str]:
    endpoint = peer.endpoint
    if endpoint is not None and endpoint.namespace:
        return _pods(side, endpoint)
    if peer.names:
        return [f"--{side}-fqdn", min(peer.names)]
    if peer.address is not None:
        return [f"--{side}-ip", str(peer.address)]
    return [f"--{side}-label", f"reserved:{peer.kind.value}"]


def _pods(side: str, endpoint: Endpoint) -> list[str]:
    """A pod by name; what has no pod yet by its workload, else by its namespace."""
    if not endpoint.template:
        return [f"--{side}-pod", f"{endpoint.namespace}/{endpoint.name}"]
    words = [f"--{side}-namespace", endpoint.namespace]
    return [*words, f"--{side}-workload", endpoint.workload.name] if endpoint.workload else words


def _join(*words: str) -> str:
    return shlex.join(words)
