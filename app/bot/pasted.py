"""A connection in a text that somebody pasted: an error of a program, or a line of flows.

Nothing is concluded from it but what the form is filled in with; the person looks at it before it
is asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.bot.words import MAX_CHARACTERS, repair
from app.core.text import clean

_POD = r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
_FLOW = re.compile(
    rf"(?P<from>{_POD}/{_POD}|\d+(?:\.\d+){{3}}|\[[0-9a-f:]+\])(?::\d+)?(?:\s*\([^)]*\))?"
    rf"\s*(?:->|<>|\u2192)\s*"
    rf"(?P<to>{_POD}/{_POD}|{_POD}|\[[0-9a-f:]+\])(?::(?P<port>\d+))?"
)
"""Source: Cilium `hubble/pkg/printer/printer.go`, the compact form: `SRC (ID) -> DST:PORT (ID)`."""
_URL = re.compile(r"https?://(?P<to>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::(?P<port>\d+))?")
_HOST_AND_PORT = (
    re.compile(r"host='(?P<to>[^']+)', port=(?P<port>\d+)"),
    re.compile(
        r"connect to (?:host )?(?P<to>[A-Za-z0-9.-]+)(?: \([^)]*\))?,? port:? (?P<port>\d+)"
    ),
    re.compile(r"dial tcp (?P<to>\d+(?:\.\d+){3}|\[[0-9a-f:]+\]):(?P<port>\d+)"),
    re.compile(r"[Cc]ould not resolve host: (?P<to>[A-Za-z0-9.-]+)"),
    re.compile(r"lookup (?P<to>[A-Za-z0-9.-]+)(?: on [^:]+:\d+)?: "),
    re.compile(r'host(?:name)? "(?P<to>[^"]+)"[^\n]*, port (?P<port>\d+)'),
    _URL,
    re.compile(r"\b(?P<to>(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}|\d+(?:\.\d+){3}):(?P<port>\d+)\b"),
)
"""Python's urllib3, curl and PostgreSQL, Go's net, git, URLs, and anything else as HOST:PORT."""
_HTTPS, _HTTP = "443", "80"


@dataclass(frozen=True, slots=True)
class Pasted:
    """What was found; empty where nothing was."""

    source: str = ""
    destination: str = ""
    port: str = ""


def read_pasted(text: str) -> Pasted:
    """Find a connection in a text."""
    text = repair(text[:MAX_CHARACTERS])
    return _from_json(text) or _from_line(text) or _from_error(text)


def _from_json(text: str) -> Pasted | None:
    """A flow as `hubble observe -o json` writes it."""
    start = text.find("{")
    try:
        tree, _ = json.JSONDecoder().raw_decode(text[start:]) if start >= 0 else (None, 0)
    except (ValueError, RecursionError):
        return None
    flow = tree.get("flow", tree) if isinstance(tree, dict) else None
    if not isinstance(flow, dict) or "destination" not in flow:
        return None
    ips = _object(flow, "IP")
    protocol, ports = next(iter(_object(flow, "l4").items()), ("TCP", {}))
    port = ports.get("destination_port") if isinstance(ports, dict) else None
    return Pasted(
        _end(flow.get("source"), ips.get("source")),
        _end(flow.get("destination"), ips.get("destination")),
        f"{port}/{clean(protocol, 8)}" if isinstance(port, int) else "",
    )


def _object(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = tree.get(name)
    return value if isinstance(value, dict) else {}


def _end(end: object, ip: object) -> str:
    if isinstance(end, dict) and end.get("pod_name"):
        return clean(f"{end.get('namespace', '')}/{end['pod_name']}", 320)
    return clean(ip, 64) if isinstance(ip, str) else ""


def _from_line(text: str) -> Pasted | None:
    found = _FLOW.search(text)
    if found is None:
        return None
    return Pasted(found["from"].strip("[]"), found["to"].strip("[]"), found["port"] or "")


def _from_error(text: str) -> Pasted:
    for pattern in _HOST_AND_PORT:
        if found := pattern.search(text):
            groups = found.groupdict()
            port = groups.get("port") or ""
            if pattern is _URL and not port:
                port = _HTTPS if found.group().startswith("https") else _HTTP
            return Pasted("", clean(groups["to"].strip("[]"), 253), port)
    return Pasted()
