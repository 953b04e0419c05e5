"""Kubernetes NetworkPolicy to entries, as Cilium translates it.

It is not run through the checks of Cilium's own policies, which is why some mistakes widen it
instead of voiding it. Source: Cilium `pkg/k8s/network_policy.go` `ParseNetworkPolicy`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.core.model.cluster import Network
from app.core.model.verdict import Direction, Effect
from app.core.policy import ports
from app.core.policy.blocks import cidr_selector, parse_block, single_address
from app.core.policy.context import ParseContext
from app.core.policy.decode import API_SERVER, Reader, Refused, items, number, text, texts
from app.core.policy.layer4 import port_spec
from app.core.policy.rules import Entry, LabelSelector, PeerSelector, PortRule
from app.core.policy.selectors import (
    CLUSTER_KEY,
    NAMESPACE_KEY,
    NAMESPACE_LABELS_KEY,
    SelectorDraft,
    Written,
    add_knp,
    finish_knp,
    read_selector,
)

FIRST_WITHOUT_IP_BLOCK_HOLE = (1, 19, 5)
"""Before, an ingress `ipBlock` also admitted every pod of the namespace (pull request 46456)."""

_INT32 = 1 << 31
"""Source: apimachinery `pkg/util/intstr` (`IntVal` is an int32)."""

_LISTS = ((Direction.INGRESS, "ingress", "from"), (Direction.EGRESS, "egress", "to"))


def read_network_policy(
    reader: Reader, spec: Any, namespace: str, context: ParseContext
) -> tuple[Entry, ...]:
    """Give the entries of a NetworkPolicy; raises `Refused` where the API server would refuse."""
    known = ("podSelector", "ingress", "egress", "policyTypes")
    fields = reader.fields(spec, "spec", known)
    subject = _read_subject(reader, fields.get("podSelector"), namespace, context)
    types = texts(fields.get("policyTypes"), "spec.policyTypes")
    if any(one not in ("Ingress", "Egress") for one in types):
        reader.warn("the API server refuses policyTypes but Ingress and Egress", "spec.policyTypes")
    entries: list[Entry] = []
    for direction, name, word in _LISTS:
        found = [
            _entry(reader, direction, namespace, subject, peers, port_rules, path)
            for item, where in items(fields.get(name), f"spec.{name}")
            for peers, port_rules, path in _read_item(reader, item, where, word, namespace, context)
        ]
        if not found and _isolates(direction, types):
            found = [_entry(reader, direction, namespace, subject, (), (), "spec")]
        entries += found
    _warn_types(reader, entries, types)
    return tuple(entries)


def _isolates(direction: Direction, types: tuple[str, ...]) -> bool:
    """Say whether a direction without items is closed.

    Without `policyTypes` that is ingress, as Kubernetes' own defaulting has it.
    """
    if direction is Direction.EGRESS:
        return "Egress" in types
    return "Ingress" in types or "Egress" not in types


def _warn_types(reader: Reader, entries: list[Entry], types: tuple[str, ...]) -> None:
    for direction, name, _ in _LISTS:
        listed = any(entry.direction is direction for entry in entries)
        if types and listed and name.capitalize() not in types and not _isolates(direction, types):
            reader.warn(f"Cilium enforces `{name}` although policyTypes does not name it", "spec")


def _entry(
    reader: Reader,
    direction: Direction,
    namespace: str,
    subject: LabelSelector,
    peers: tuple[PeerSelector, ...],
    port_rules: tuple[PortRule, ...],
    path: str,
) -> Entry:
    rule = reader.rule_ref(path)
    return Entry(
        direction=direction,
        effect=Effect.ALLOW,
        namespace=namespace,
        subject=subject,
        peers=peers,
        ports=port_rules,
        rule=rule,
    )


def _read_subject(
    reader: Reader, value: Any, namespace: str, context: ParseContext
) -> LabelSelector:
    path = "spec.podSelector"
    draft = SelectorDraft(context.delimiter, path)
    _add_pods(draft, read_selector(reader, value, path), namespace)
    return _finished(reader, draft)


def _add_pods(draft: SelectorDraft, written: Written, namespace: str) -> None:
    """Ask for pods of the policy's namespace, whatever namespace the selector itself names."""
    add_knp(draft, written)
    draft.imply(NAMESPACE_KEY, namespace)


def _finished(reader: Reader, draft: SelectorDraft) -> LabelSelector:
    selector = finish_knp(draft)
    if selector.broken:
        reader.warn(
            "a label is too long for this agent, so the selector matches everything", draft.path
        )
    return selector


def _read_item(
    reader: Reader, value: Any, path: str, word: str, namespace: str, context: ParseContext
) -> Iterator[tuple[tuple[PeerSelector, ...], tuple[PortRule, ...], str]]:
    """Yield one (peers, ports, path) per peer element; every peer when none is written."""
    fields = reader.fields(value, path, (word, "ports"))
    port_rules = tuple(
        _read_port(reader, item, where, context)
        for item, where in items(fields.get("ports"), f"{path}.ports")
    )
    elements = list(items(fields.get(word), f"{path}.{word}"))
    if not elements:
        yield (SelectorDraft(context.delimiter, path).finish(),), port_rules, path
    for item, where in elements:
        yield _read_peer(reader, item, where, word, namespace, context), port_rules, where


def _read_peer(
    reader: Reader, value: Any, path: str, word: str, namespace: str, context: ParseContext
) -> tuple[PeerSelector, ...]:
    """Read one element of `from` or `to`.

    Before 1.19.5 an ingress element with only an `ipBlock` also got a pod selector, made of
    nothing but the cluster filter::

        from: [{ipBlock: {cidr: 10.0.0.0/8}}]   # 1.19.4: and every pod of the namespace
    """
    known = ("podSelector", "namespaceSelector", "ipBlock")
    fields = reader.fields(value, path, known)
    if not fields:
        raise Refused("a peer needs podSelector, namespaceSelector or ipBlock", path, API_SERVER)
    block, pods, spaces = (
        fields.get("ipBlock"),
        fields.get("podSelector"),
        fields.get("namespaceSelector"),
    )
    if block is not None and (pods is not None or spaces is not None):
        raise Refused("an ipBlock stands alone in its element", path, API_SERVER)
    selectors: list[PeerSelector] = []
    hole = context.version < FIRST_WITHOUT_IP_BLOCK_HOLE and bool(context.peer_cluster)
    if block is None:
        selectors.append(_pod_peer(reader, pods, spaces, path, namespace, context))
    else:
        if hole and word == "from":
            selectors.append(_pod_peer(reader, None, None, path, namespace, context))
        selectors.append(_read_block(reader, block, f"{path}.ipBlock", context))
    return tuple(selectors)


def _pod_peer(
    reader: Reader, pods: Any, spaces: Any, path: str, namespace: str, context: ParseContext
) -> LabelSelector:
    written = read_selector(reader, pods, f"{path}.podSelector")
    draft = SelectorDraft(context.delimiter, path)
    if spaces is None:
        _add_pods(draft, written, namespace)
        _add_cluster(draft, written, context)
        return _finished(reader, draft)
    _add_namespaces(draft, read_selector(reader, spaces, f"{path}.namespaceSelector"))
    add_knp(draft, written)
    _add_cluster(draft, written, context)
    return _finished(reader, draft)


def _add_namespaces(draft: SelectorDraft, written: Written) -> None:
    """Turn namespace labels into the labels identities carry; `{}` is any namespace."""
    add_knp(draft, written, f"{NAMESPACE_LABELS_KEY}.")
    if not written.labels and not written.expressions:
        draft.imply(NAMESPACE_KEY, None)


def _add_cluster(draft: SelectorDraft, written: Written, context: ParseContext) -> None:
    named = bool(written.labels.get(CLUSTER_KEY)) or any(
        item.key == CLUSTER_KEY for item in written.expressions
    )
    if context.peer_cluster and not named:
        draft.imply(CLUSTER_KEY, context.peer_cluster)


def _is_part(hole: Network, block: Network) -> bool:
    """Source: Kubernetes `pkg/apis/networking/validation` `ValidateIPBlock`."""
    same = hole.version == block.version and hole.prefixlen >= block.prefixlen
    return same and hole.network_address in block


def _read_block(reader: Reader, value: Any, path: str, context: ParseContext) -> PeerSelector:
    fields = reader.fields(value, path, ("cidr", "except"))
    written = text(fields.get("cidr"), f"{path}.cidr")
    block = parse_block(written) or single_address(written)
    if block is None:
        raise Refused(f"`{written}` is no address block", f"{path}.cidr", API_SERVER)
    excepted = []
    for hole in texts(fields.get("except"), f"{path}.except"):
        parsed = parse_block(hole) or single_address(hole)
        if parsed is None:
            raise Refused(f"`{hole}` is no address block", f"{path}.except", API_SERVER)
        if not _is_part(parsed, block):
            reader.warn(f"the API server refuses an except outside `{written}`", f"{path}.except")
        excepted.append((hole, parsed))
    return cidr_selector(written, block, tuple(excepted), context, path)


def _read_port(reader: Reader, value: Any, path: str, context: ParseContext) -> PortRule:
    """Read one element of `ports`; without a port it is every port of its protocol."""
    fields = reader.fields(value, path, ("port", "endPort", "protocol"))
    protocol = text(fields.get("protocol"), f"{path}.protocol", default="TCP")
    if protocol.upper() not in ports.TRANSPORT_PROTOCOLS:
        raise Refused(f"`{protocol}` is no protocol of a port", path)
    written = fields.get("port")
    if isinstance(written, bool) or not isinstance(written, int | str | None):
        raise Refused("`port` must be a number or a name", path)
    end = number(fields.get("endPort"), f"{path}.endPort")
    if isinstance(written, int) and not -_INT32 <= written < _INT32:
        raise Refused("`port` must be a number that 32 bits hold", path)
    shown = "0" if written is None else str(written)
    spec = port_spec(shown, end, (protocol.upper(),), path, context)
    _warn_port(reader, written, end, path)
    return PortRule((spec,), path=path)


def _warn_port(reader: Reader, written: int | str | None, end: int, path: str) -> None:
    if isinstance(written, str) and written.isdigit():
        reader.warn("the API server takes a port in quotes for a name, and refuses it", path)
    if not end:
        return
    if not isinstance(written, int):
        reader.warn("the API server refuses endPort without a numeric port", path)
    elif end < written:
        reader.warn("the API server refuses an endPort below the port", path)
