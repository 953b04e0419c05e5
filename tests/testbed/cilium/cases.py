"""Small cases that packets gave: objects, questions, and what became of the packet.

They are kept in `tests/cases/packets` and run everywhere, without a cluster.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "cases" / "packets"

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


def write_case(
    folder: Path, name: str, doc: str, snapshot: Path, questions: Sequence[Mapping[str, Any]]
) -> Path:
    """Write a case of a snapshot as YAML, named `name`, with the fate of each question's packet."""
    objects = [_small(one) for one in json.loads(snapshot.read_text())["items"]]
    document = {
        "name": name,
        "doc": doc,
        "source": "packets through a running Cilium 1.19.3",
        "questions": [dict(one) for one in questions],
        "objects": [one for one in objects if one["kind"] in _KINDS],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    text = yaml.safe_dump(document, sort_keys=False, width=100, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
    return path


def _small(body: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: one for key, one in body["metadata"].items() if key not in _UNINTERESTING}
    return {**body, "metadata": metadata}
