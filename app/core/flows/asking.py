"""How an end of a flow is named in a question (docs/forms.md §3)."""

from __future__ import annotations

from app.core.model.flow import FlowEndpoint

ENTITIES = frozenset({"host", "remote-node", "kube-apiserver", "health", "ingress"})
"""Reserved identities that are one thing; the world is named by its addresses."""


def end_asked(end: FlowEndpoint, ip: str, names: tuple[str, ...]) -> str:
    """Name an end: a pod, else its DNS name, else its reserved identity, else its address."""
    if end.pod:
        return f"pod:{end.namespace}/{end.pod}"
    if names:
        return f"fqdn:{names[0]}={ip}" if ip else f"fqdn:{names[0]}"
    reserved = (label.removeprefix("reserved:") for label in end.labels)
    entity = next((name for name in reserved if name in ENTITIES), "")
    if entity:
        return f"entity:{entity}"
    return f"ip:{ip}" if ip else "entity:world"
