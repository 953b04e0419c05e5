"""Text that some other program fills before it is an object: `{{` of Helm, Jinja and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.core.model.provenance import ObjectRef
from app.core.model.unread import decides

TEMPLATE = "{{"

_POLICY_KIND = re.compile(
    r"""\bkind["']?:\s*["']?(?:\{\{|List\b|(?:\w*NetworkPolicy|CiliumCIDRGroup)\b)"""
)
_UNDECIDING = frozenset({"annotations", "description", "managedFields"})
_PARTS = {
    "Pod": ("metadata",),
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"),
        ("metadata", "spec.template.metadata"),
    ),
    "CronJob": ("metadata", "spec.jobTemplate.spec.template.metadata"),
}
"""Of these kinds nothing else decides; their arguments are full of other programs' templates."""


def could_hold_policies(text: str) -> bool:
    """Whether a template that nobody rendered may make a policy."""
    return _POLICY_KIND.search(text) is not None


def unrendered(body: Mapping[str, Any], ref: ObjectRef) -> str:
    """The path of the first field that decides and still holds a template; empty when none does."""
    if not decides(ref):
        return ""
    for part in _PARTS.get(ref.kind, ("metadata", "spec", "specs", "data", "endpoints", "ports")):
        for path in _templates(_inside(body, part), part):
            return path
    return ""


def _inside(body: Any, path: str) -> Any:
    for key in path.split("."):
        body = body.get(key) if isinstance(body, Mapping) else None
    return body


def _templates(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str):
        if TEMPLATE in value:
            yield path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key in _UNDECIDING:
                continue
            if TEMPLATE in key:
                yield f"{path}.{key}"
            yield from _templates(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _templates(item, f"{path}[{index}]")
