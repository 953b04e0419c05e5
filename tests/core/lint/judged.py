"""Cases in short: a spec stands for a policy of namespace `a`, anything with a kind for itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import yaml

from app.core.diagnose.boundaries import parse_boundaries
from app.core.diagnose.evidence import FlowEvidence
from app.core.lint.finding import Finding, Rule
from app.core.lint.judge import find
from app.core.lint.registry import RULES
from app.core.model.flow import DnsInfo, Flow, FlowEndpoint, L7Info
from app.core.model.provenance import Manifest, ObjectRef, Source
from app.services.lint import scope_of
from app.services.picture import Ingredients, make_picture, parse_version
from app.testing.builders import API_VERSIONS

VERSION = "1.19.3"
CLUSTERWIDE = ("CiliumClusterwideNetworkPolicy", "Namespace", "Node", "CiliumCIDRGroup")


def objects(written: Any) -> list[Manifest]:
    """Every object of a case; `orphan: true` beside one says that no kustomization lists it."""
    parts = written if isinstance(written, list) else [written]
    return [_object(dict(part), at) for at, part in enumerate(parts)]


def _object(part: dict[str, Any], at: int) -> Manifest:
    orphan = bool(part.pop("orphan", False))
    if "pod" in part:
        part = pod(part["pod"], part.get("labels", {}), part.get("ports"), host=part.get("host"))
    if "kind" not in part:
        part = {"kind": "CiliumNetworkPolicy", "spec": {"endpointSelector": {}, **part}}
    part.setdefault("metadata", {"name": f"p{at}"})
    kind = part["kind"]
    if kind not in CLUSTERWIDE:
        part["metadata"] = {"namespace": "a", **part["metadata"]}
    part.setdefault("apiVersion", API_VERSIONS.get(kind, "v1"))
    metadata = part["metadata"]
    ref = ObjectRef(kind, metadata.get("namespace", ""), metadata["name"])
    source = Source(f"{at}.yaml", 1, orphan=orphan)
    return Manifest(ref, part["apiVersion"], part, source)


def pod(
    place: str,
    labels: dict[str, str],
    ports: dict[str, int] | None = None,
    *,
    host: bool | None = None,
) -> dict[str, Any]:
    """A running pod, as the short form of the cases has it; `host` is in the host network."""
    space, _, name = place.partition("/")
    containers = [
        {
            "name": "c",
            "ports": [{"name": port, "containerPort": n} for port, n in (ports or {}).items()],
        }
    ]
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": labels},
        "spec": {"nodeName": "n", "hostNetwork": bool(host), "containers": containers},
        "status": {"phase": "Running", "podIP": "10.9.0.1", "podIPs": [{"ip": "10.9.0.1"}]},
    }


def judge(
    written: Any,
    rules: Sequence[Rule] = RULES,
    *,
    version: str = VERSION,
    flows: Sequence[dict[str, Any]] = (),
    whole: bool = True,
    boundaries: str = "",
) -> tuple[Finding, ...]:
    """What the rules find; of two objects of one name the second is shadowed."""
    found: dict[ObjectRef, Manifest] = {}
    shadowed = []
    for one in objects(written):
        if one.ref in found:
            shadowed.append(one)
        else:
            found[one.ref] = one
    manifests = tuple(found.values())
    ingredients = Ingredients(
        manifests, cilium_version=parse_version(version), shadowed=tuple(shadowed)
    )
    evidence = FlowEvidence([_flow(one) for one in flows]) if flows else None
    picture = replace(make_picture(ingredients), boundaries=parse_boundaries(boundaries))
    scope = scope_of(picture, manifests, flows=evidence, whole=whole)
    return find(scope, rules)


def _flow(form: dict[str, Any]) -> Flow:
    """A flow in short: `from` and `to` are `NS/POD`, the rest are fields of `Flow`."""
    rest = {key: value for key, value in form.items() if key not in ("from", "to", "dns")}
    l7 = L7Info(type="REQUEST", dns=DnsInfo(query=form["dns"])) if "dns" in form else None
    return Flow(time_ns=1, source=_end(form["from"]), destination=_end(form["to"]), l7=l7, **rest)


def _end(place: str) -> FlowEndpoint:
    space, _, name = place.partition("/")
    return FlowEndpoint(namespace=space, pod=name)


def example(text: str) -> tuple[Any, str, bool]:
    """An example of the registry: its objects, the version, and whether it needs others."""
    version = match[1] if (match := re.search(r"read by Cilium ([\d.]+)", text)) else VERSION
    needs = re.search(r"^# (with|in) ", text, re.MULTILINE) is not None
    parts = [one for one in yaml.safe_load_all(text) if one is not None]
    return parts, version, needs
