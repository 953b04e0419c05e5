"""toServices: the peers that a Service stands for.

Source: Cilium `pkg/policy/k8s/service.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from app.core.model.cluster import (
    Service,
)
from app.core.model.labels import ANY_SOURCE, K8S_SOURCE
from app.core.policy.blocks import cidr_selector
from app.core.policy.context import ParseContext
from app.core.policy.decode import Reader, items, text
from app.core.policy.rules import CidrSelector, LabelSelector, Operator
from app.core.policy.selectors import (
    FIRST_WITH_COLON_KEYS,
    NAMESPACE_KEY,
    OPERATORS,
    SelectorDraft,
    Written,
    check_draft,
    cilium_draft,
    is_selector_valid,
    parse_source,
    read_selector,
)

FIRST_WITH_SERVICE_CHECK = (1, 19, 6)
"""From here on the 1.19 line reads dotted keys of `k8sServiceSelector` as they are meant, and
refuses an unparsable selector (issue 46732)."""


FIRST_WITH_SERVICE_KEYS = (1, 19, 0)
"""From here on dotted keys of a Service's own selector are read as they are meant."""


@dataclass(frozen=True, slots=True)
class ServiceReference:
    """One element of toServices, by name or by labels. An empty namespace means any."""

    namespace: str
    name: str
    selector: Written | None
    path: str


def read_services(
    reader: Reader, value: Any, path: str, context: ParseContext
) -> tuple[ServiceReference, ...]:
    """Read the elements of toServices; may raise `Refused`."""
    reader.names_services |= bool(value)
    return tuple(_read_one(reader, item, where, context) for item, where in items(value, path))


def _read_one(reader: Reader, value: Any, path: str, context: ParseContext) -> ServiceReference:
    fields = reader.fields(value, path, ("k8sService", "k8sServiceSelector"))
    by_labels = fields.get("k8sServiceSelector")
    if by_labels is not None:
        where = f"{path}.k8sServiceSelector"
        parts = reader.fields(by_labels, where, ("selector", "namespace"))
        selector = read_selector(reader, parts.get("selector"), f"{where}.selector")
        if FIRST_WITH_SERVICE_CHECK <= context.version < FIRST_WITH_COLON_KEYS:
            cilium_draft(selector, context.version)
        namespace = text(parts.get("namespace"), f"{where}.namespace")
        return ServiceReference(namespace, "", selector, path)
    where = f"{path}.k8sService"
    parts = reader.fields(fields.get("k8sService"), where, ("serviceName", "namespace"))
    name = text(parts.get("serviceName"), f"{where}.serviceName")
    return ServiceReference(text(parts.get("namespace"), f"{where}.namespace"), name, None, path)


def service_peers(
    references: tuple[ServiceReference, ...], context: ParseContext
) -> tuple[list[LabelSelector], list[CidrSelector]]:
    """Give the peers that references stand for.

    A Service with a selector becomes its pods, one without becomes the addresses of its
    EndpointSlices, which then are CIDR rules and match nothing inside the cluster. A reference
    that finds no Service gives no peer, which with ports means every peer (issue 20067).
    """
    by_selector: list[LabelSelector] = []
    by_address: list[CidrSelector] = []
    for service in context.services:
        if service.external_name:
            continue
        for reference in references:
            if not _refers_to(reference, service, context):
                continue
            if service.selector:
                by_selector.append(_pods_of(service, context, reference.path))
            else:
                by_address += _addresses_of(service, context, reference.path)
    return by_selector, by_address


def _refers_to(reference: ServiceReference, service: Service, context: ParseContext) -> bool:
    if reference.namespace not in ("", service.namespace):
        return False
    if reference.selector is None:
        return reference.name == service.name
    return _labels_fit(reference.selector, service.labels, context)


def _labels_fit(written: Written, labels: Mapping[str, str], context: ParseContext) -> bool:
    """Say whether a Service carries the labels `k8sServiceSelector` asks for.

    Before 1.19.6 (and in 1.18) a dotted key is cut at its first dot, so `app.kubernetes.io/name`
    asks for the label `kubernetes.io/name`; issues 41151 and 46732. A selector that is no valid
    Kubernetes selector then matches every Service.
    """
    dotted = context.version < FIRST_WITH_SERVICE_CHECK
    if dotted and not is_selector_valid(written):
        return True
    delimiter = "." if dotted else ":"
    exact_source = FIRST_WITH_SERVICE_CHECK <= context.version < FIRST_WITH_COLON_KEYS
    checks: list[tuple[str, Operator, tuple[str, ...]]] = [
        (key, Operator.IN, (value,)) for key, value in written.labels.items()
    ]
    checks += [
        (item.key, Operator(item.operator), item.values)
        for item in written.expressions
        if item.operator in OPERATORS
    ]
    for key, operator, values in checks:
        source, name = parse_source(key, delimiter)
        value = labels.get(name)
        if exact_source and source not in ("", ANY_SOURCE, K8S_SOURCE):
            value = None
        if not _value_fits(operator, value, values):
            return False
    return True


def _value_fits(operator: Operator, value: str | None, values: tuple[str, ...]) -> bool:
    if operator is Operator.IN:
        return value is not None and value in values
    if operator is Operator.NOT_IN:
        return value is None or value not in values
    return (value is not None) is (operator is Operator.EXISTS)


def _pods_of(service: Service, context: ParseContext, path: str) -> LabelSelector:
    """Give the pods a Service selects; before 1.19 a dotted key was misread (issue 41151)."""
    draft = SelectorDraft(context.delimiter, path)
    for key, value in service.selector.items():
        source, name = K8S_SOURCE, key
        if context.version < FIRST_WITH_SERVICE_KEYS:
            source, name = parse_source(key, ".")
        draft.add(source or ANY_SOURCE, name, value)
    draft.imply(NAMESPACE_KEY, service.namespace)
    check_draft(draft)
    context.confine_to_cluster(draft)
    return draft.finish()


def _addresses_of(service: Service, context: ParseContext, path: str) -> list[CidrSelector]:
    blocks = [ip_network(backend.address) for backend in service.backends or ()]
    return [cidr_selector(str(block), block, (), context, path) for block in blocks]
