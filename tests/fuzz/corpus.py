"""One good object of every kind that is read, and good lines and settings: what is mutated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent

FLOW: dict[str, Any] = {
    "flow": {
        "time": "2026-11-29T08:00:00.000000001Z",
        "uuid": "u-1",
        "verdict": "DROPPED",
        "drop_reason": 133,
        "drop_reason_desc": "POLICY_DENIED",
        "ethernet": {"source": "aa:bb:cc:dd:ee:ff", "destination": "aa:bb:cc:dd:ee:00"},
        "IP": {"source": "10.0.0.9", "destination": "10.0.0.1", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 40000, "destination_port": 8080, "flags": {"SYN": True}}},
        "source": {
            "ID": 9,
            "identity": 9,
            "namespace": "lab",
            "pod_name": "db-1",
            "labels": ["k8s:app=db"],
            "workloads": [{"kind": "Deployment", "name": "db"}],
        },
        "destination": {"identity": 4242, "namespace": "lab", "pod_name": "web-1"},
        "Type": "L3_L4",
        "node_name": "node-1",
        "event_type": {"type": 1, "sub_type": 133},
        "traffic_direction": "INGRESS",
        "is_reply": False,
        "l7": {"type": "REQUEST", "dns": {"query": "pypi.org.", "ips": ["192.0.2.1"], "rcode": 0}},
        "ingress_denied_by": [{"name": "cnp", "namespace": "lab", "labels": ["k8s:a=b"]}],
        "Summary": "TCP Flags: SYN",
    },
    "node_name": "node-1",
    "time": "2026-11-29T08:00:00.000000001Z",
}

KUSTOMIZATION: dict[str, Any] = {
    "apiVersion": "kustomize.config.k8s.io/v1beta1",
    "kind": "Kustomization",
    "namespace": "lab",
    "namePrefix": "a-",
    "nameSuffix": "-b",
    "resources": ["objects.yaml", "https://example.org/x"],
    "components": ["part"],
    "commonLabels": {"team": "a"},
    "labels": [{"pairs": {"tier": "x"}, "includeSelectors": True, "includeTemplates": True}],
    "patches": [{"path": "patch.yaml", "target": {"kind": "Pod"}}, {"patch": "- op: remove"}],
    "patchesStrategicMerge": ["patch.yaml"],
    "patchesJson6902": [{"path": "patch.yaml", "target": {"kind": "Pod", "name": "x"}}],
    "configMapGenerator": [{"name": "c", "literals": ["a=b"], "files": ["x"]}],
    "images": [{"name": "web", "newTag": "2"}],
    "replicas": [{"name": "db", "count": 3}],
    "replacements": [{"source": {"kind": "Pod"}, "targets": [{"select": {"kind": "Pod"}}]}],
    "helmCharts": [{"name": "chart", "repo": "https://example.org"}],
    "generators": ["g.yaml"],
    "transformers": ["t.yaml"],
}

BOUNDARY: dict[str, Any] = {
    "boundary": [
        {
            "name": "others do not reach good",
            "from": "label:next/app=other",
            "to": "label:next/app=good",
            "ports": ["80"],
            "must": "deny",
            "why": "they must not",
        }
    ]
}


def objects() -> list[dict[str, Any]]:
    """A fresh copy of every object."""
    return _read("objects.yaml")


def neighbours() -> list[dict[str, Any]]:
    """A fresh copy of the objects that must stay right."""
    return _read("neighbours.yaml")


def copy(tree: Any) -> Any:
    """A deep copy of a JSON tree."""
    return json.loads(json.dumps(tree))


def _read(name: str) -> list[dict[str, Any]]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return [body for body in yaml.safe_load_all(text) if body]
