"""Small cases that packets gave: objects, questions, and what became of the packet.

They are kept in `tests/cases/packets` and run everywhere, without a cluster.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "cases" / "packets"

SOURCE = "packets through a running Cilium 1.19.3"

_KINDS = frozenset(
    {
        "Namespace",
        "Pod",
        "Node",
        "Service",
        "EndpointSlice",
        "ConfigMap",
        "NetworkPolicy",
        "CiliumNetworkPolicy",
        "CiliumClusterwideNetworkPolicy",
        "CiliumLocalRedirectPolicy",
        "CiliumCIDRGroup",
        "CiliumNode",
    }
)
"""What a case needs: identities are derived from objects, and so must they be."""

_UNINTERESTING = ("uid", "annotations", "finalizers", "ownerReferences")


def write_case(  # a case has so many parts
    folder: Path,
    name: str,
    doc: str,
    snapshot: Path,
    questions: Sequence[Mapping[str, Any]],
    flows: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write a case of a snapshot, named `name`, with the fate of each question's packet.

    It is YAML with one line an object, a question and a flow, so that a difference can be read.
    """
    objects = [_small(one) for one in json.loads(snapshot.read_text())["items"]]
    parts = {
        "questions": questions,
        "objects": [one for one in objects if one["kind"] in _KINDS],
        "flows": flows,
    }
    lines = [f"name: {name}", f"doc: {json.dumps(doc)}", f"source: {SOURCE}"]
    for part, items in parts.items():
        lines += [f"{part}:", *(f"- {json.dumps(one)}" for one in items)] if items else []
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _small(body: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: one for key, one in body["metadata"].items() if key not in _UNINTERESTING}
    return {**body, "metadata": metadata}
