"""Policy files as people and programs write them: generated, every one different, all seeded.

Indents of both kinds in one file, flow style, anchors, CRLF, a byte order mark, tabs in comments,
no final line end, `kind: List`, several documents, JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

from app.core.drafts.edits import (
    AddKey,
    Append,
    Edit,
    RemoveItem,
    RemoveKey,
    SetScalar,
)
from app.core.model.kinds import CNP
from app.core.model.provenance import ObjectRef

_NAMES = ("pypi.org", "cran.r-project.org", "keycloak.${DOMAIN}", "registry.example.org", "a.b.net")
_LABELS = ("app", "component", "app.kubernetes.io/name", "k8s:io.kubernetes.pod.namespace")
_WORDS = ("hub", "proxy", "db", "user-server", "yes", "8080", "mirror")
_COMMENTS = ("# why", "# see the ticket", "#\tindented by a tab", "# a: b", "#")
_SHAPES = ("yaml", "yaml", "yaml", "yaml", "list", "documents", "json", "json list")


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A file with the policy `ref` in it, whose object is `value`."""

    text: str
    ref: ObjectRef
    value: Mapping[str, Any]
    shape: str


def make_file(random: Random) -> PolicyFile:
    """Give a policy file; the same random numbers give the same file."""
    value = _policy(random)
    ref = ObjectRef(CNP, "lung", "web")
    shape = random.choice(_SHAPES)
    others = [_policy(random, f"other-{number}") for number in range(2)]
    if shape.startswith("json"):
        body = {"apiVersion": "v1", "kind": "List", "items": [others[0], value, others[1]]}
        indent = random.choice((2, 4, "\t", None))
        text = json.dumps(value if shape == "json" else body, indent=indent) + "\n"
    else:
        text = _Writer(random).file(shape, value, others)
    if _chance(random, 0.2):
        text = text.replace("\n", "\r\n")
    if _chance(random, 0.2):
        text = text.rstrip("\r\n")
    if _chance(random, 0.15):
        text = "\ufeff" + text
    return PolicyFile(text, ref, value, shape)


def make_edits(random: Random, value: Mapping[str, Any]) -> Iterator[tuple[str, Edit]]:
    """Yield an edit of every kind that has a place in a policy, by what an operator calls it."""
    rules = value["spec"]["egress"]
    at = random.randrange(len(rules))
    rule, path = rules[at], ("spec", "egress", at)
    peers = next(key for key in rule if key != "toPorts")
    yield "add a rule", Append(("spec", "egress"), _rule(random))
    yield "add a peer", Append((*path, peers), _peer(random, peers))
    yield "add a port", Append((*path, "toPorts", 0, "ports"), _port(random))
    yield "add a key", AddKey(path, "icmps", [{"fields": [{"type": 8, "family": "IPv4"}]}])
    labels = ("spec", "endpointSelector", "matchLabels")
    yield "add a label", AddKey(labels, "tier", random.choice(_WORDS))
    port = (*path, "toPorts", 0, "ports", 0, "port")
    yield "change a port", SetScalar(port, str(random.randrange(1, 65_536)))
    yield "remove a rule", RemoveItem(path)
    yield "remove a peer", RemoveItem((*path, peers, 0))
    yield "remove the ports", RemoveKey((*path, "toPorts"))


def _chance(random: Random, probability: float) -> bool:
    return random.random() < probability


def _policy(random: Random, name: str = "web") -> dict[str, Any]:
    labels = {"app": random.choice(_WORDS)}
    spec: dict[str, Any] = {"endpointSelector": {"matchLabels": labels}}
    if _chance(random, 0.3):
        spec = {"description": "what it is for", **spec}
    spec["egress"] = [_rule(random) for _ in range(random.randrange(1, 5))]
    if len(spec["egress"]) > 1 and _chance(random, 0.2):
        spec["egress"][1]["toPorts"] = deepcopy(spec["egress"][0]["toPorts"])
    if _chance(random, 0.4):
        spec["ingress"] = [{"fromEntities": ["cluster"]}]
    metadata = {"name": name, "namespace": "lung"}
    return {"apiVersion": "cilium.io/v2", "kind": CNP, "metadata": metadata, "spec": spec}


def _rule(random: Random) -> dict[str, Any]:
    field = random.choice(("toFQDNs", "toEndpoints", "toCIDR", "toEntities"))
    peers = [_peer(random, field) for _ in range(random.randrange(1, 4))]
    ports = [_port(random) for _ in range(random.randrange(1, 3))]
    return {field: peers, "toPorts": [{"ports": ports}]}


def _peer(random: Random, field: str) -> Any:
    if field == "toFQDNs":
        return {random.choice(("matchName", "matchPattern")): random.choice(_NAMES)}
    if field == "toCIDR":
        return f"10.{random.randrange(256)}.0.0/16"
    if field == "toEntities":
        return random.choice(("host", "cluster", "kube-apiserver"))
    keys = random.sample(_LABELS, random.randrange(1, 3))
    return {"matchLabels": {key: random.choice(_WORDS) for key in keys}}


def _port(random: Random) -> dict[str, Any]:
    protocol = random.choice(("TCP", "UDP"))
    return {"port": str(random.randrange(1, 65_536)), "protocol": protocol}


class _Writer:
    """Writes YAML that means a value, each collection in its own manner."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._mixed = _chance(random, 0.3)
        self._offset = random.choice((0, 2, 4))
        self._flow = random.choice((0.0, 0.1, 0.5))
        self._comments = random.choice((0.0, 0.1, 0.3))
        self._quote = random.choice(('"', "'"))
        self._anchors = _chance(random, 0.2)
        self._anchored: dict[str, str] = {}

    def _chance(self, probability: float) -> bool:
        return _chance(self._random, probability)

    def file(self, shape: str, value: Any, others: Sequence[Any]) -> str:
        """A file of one shape, with `value` between the others where it has several."""
        if shape == "list":
            return self._list([others[0], value, others[1]])
        if shape == "documents":
            documents = (self._document(one) for one in (others[0], value, others[1]))
            return "# head\n---\n" + "---\n".join(documents)
        return self._document(value)

    def _document(self, value: Any) -> str:
        return "\n".join(self._block(value)) + "\n"

    def _list(self, values: Sequence[Any]) -> str:
        lines = ["apiVersion: v1", "kind: List", "items:"]
        for value in values:
            first, *rest = self._block(value)
            lines += [f"- {first}", *(f"  {line}" if line else line for line in rest)]
        return "\n".join(lines) + "\n"

    def _block(self, value: Any) -> list[str]:
        if isinstance(value, dict):
            return [line for key, item in value.items() for line in self._entry(key, item)]
        return [line for item in value for line in self._item(item)]

    def _entry(self, key: str, value: Any) -> Iterator[str]:
        yield from self._remark()
        name = self._scalar(key) if self._chance(0.1) else key
        if key == "toPorts" and (known := self._anchored.get(repr(value))):
            yield f"{name}: *{known}"
            return
        if not isinstance(value, dict | list):
            yield f"{name}: {self._scalar(value)}{self._tail()}"
        elif self._chance(self._flow):
            yield f"{name}: {self._in_line(value)}{self._tail()}"
        else:
            offset = 2 if isinstance(value, dict) else self._dash_offset()
            yield f"{name}:{self._anchor(key, value)}{self._tail()}"
            yield from (" " * offset + line if line else line for line in self._block(value))

    def _item(self, value: Any) -> Iterator[str]:
        yield from self._remark()
        if not isinstance(value, dict | list):
            yield f"- {self._scalar(value)}{self._tail()}"
            return
        if self._chance(self._flow):
            yield f"- {self._in_line(value)}"
            return
        wide = "   " if self._chance(0.05) else " "
        lines = self._block(value)
        while lines[0].lstrip().startswith("#") or not lines[0]:
            lines.pop(0)
        yield f"-{wide}{lines[0]}"
        yield from (" " * (1 + len(wide)) + line if line else line for line in lines[1:])

    def _dash_offset(self) -> int:
        return self._random.choice((0, 2, 4)) if self._mixed else self._offset

    def _in_line(self, value: Any) -> str:
        if isinstance(value, dict):
            pairs = (f"{self._scalar(key)}: {self._in_line(item)}" for key, item in value.items())
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, list):
            comma = "," if value and self._chance(0.1) else ""
            return "[" + ", ".join(map(self._in_line, value)) + comma + "]"
        return self._scalar(value)

    def _scalar(self, value: Any) -> str:
        text = str(value)
        plain = text.replace(".", "").replace("-", "").replace("/", "").isalpha() and text != "yes"
        if plain and self._chance(0.9):
            return text
        return f"{self._quote}{text}{self._quote}"

    def _remark(self) -> Iterator[str]:
        if self._chance(self._comments / 2):
            yield ""
        if self._chance(self._comments):
            yield self._random.choice(_COMMENTS)

    def _tail(self) -> str:
        if self._chance(self._comments / 2):
            return "  " + self._random.choice(_COMMENTS)
        return ""

    def _anchor(self, key: str, value: Any) -> str:
        if not self._anchors or key not in ("toPorts", "egress", "spec"):
            return ""
        name = f"a{self._random.randrange(10**6)}"
        if key == "toPorts":
            self._anchored[repr(value)] = name
        return f" &{name}"
