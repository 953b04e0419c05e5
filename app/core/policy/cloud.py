"""Peers that name groups of a cloud: `fromGroups` and `toGroups`, which the agent reads since 1.20.

The agent asks no cloud. It looks for one label, the hash of what is written, on the CIDR groups
that the operator makes from the cloud's answer; without such a CIDR group nobody is selected.
Source: Cilium 1.20 `pkg/policy/api/groups.go`,
`operator/pkg/networkpolicy/external-groups/cidrgroup.go`.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha224
from typing import Any

from app.core.policy.decode import Reader, text, text_map, texts
from app.core.policy.rules import GROUP_SOURCE, LabelSelector, Operator, Requirement

GROUP_KEY = "extgrp.cilium.io"
_ESCAPED_BY_GO = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def read_cloud_group(reader: Reader, value: Any, path: str) -> LabelSelector:
    """Read one group of a cloud; a value of the wrong type raises `Refused`."""
    written = reader.fields(value, path, ("aws",))
    aws = written.get("aws")
    group = {} if aws is None else {"aws": _read_aws(reader, aws, f"{path}.aws")}
    label = f"{GROUP_KEY}/{_hash(group)}"
    requirement = Requirement(GROUP_SOURCE, label, Operator.IN, frozenset(("",)))
    shown = f"cloud group {_compact(group)}"
    return LabelSelector(f"{GROUP_SOURCE}:{label}", (requirement,), shown, path=path)


def _read_aws(reader: Reader, value: Any, path: str) -> dict[str, Any]:
    """Give what is written in the order in which the agent hashes it."""
    names = ("labels", "securityGroupsIds", "securityGroupsNames", "region")
    fields = reader.fields(value, path, names)
    labels = text_map(fields.get("labels"), f"{path}.labels")
    read: dict[str, Any] = {"labels": dict(sorted(labels.items()))}
    for name in names[1:3]:
        read[name] = texts(fields.get(name), f"{path}.{name}")
    read["region"] = text(fields.get("region"), f"{path}.region")
    return {name: content for name, content in read.items() if content}


def _hash(group: Mapping[str, Any]) -> str:
    """Hash the group as `Groups.Hash` does, over the text that Go's encoder writes."""
    encoded = _compact(group).translate(_ESCAPED_BY_GO)
    return urlsafe_b64encode(sha224(encoded.encode()).digest()).decode().rstrip("=")


def _compact(group: Mapping[str, Any]) -> str:
    return json.dumps(group, ensure_ascii=False, separators=(",", ":"))
