"""What the values of `hubble observe` flags may be, and what they mean in a `FlowFilter`.

Source: Cilium `hubble/cmd/observe/{flows_filter,workload,identity}.go` (v1.19.3). Errors are
`UsageError` and name the nearest value.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from app.core.errors import UsageError
from app.core.flows import names

RESERVED_IDENTITIES = {
    "host": 1,
    "world": 2,
    "unmanaged": 3,
    "health": 4,
    "init": 5,
    "remote-node": 6,
    "kube-apiserver": 7,
    "ingress": 8,
    "world-ipv4": 9,
    "world-ipv6": 10,
    "overlay-to-encrypt": 11,
}
"""Source: Cilium `pkg/identity/numericidentity.go`."""

EVENT_TYPES = {
    "drop": 1,
    "debug": 2,
    "capture": 3,
    "trace": 4,
    "policy-verdict": 5,
    "trace-sock": 7,
    "l7": 129,
    "agent": 130,
}
"""Source: Cilium `pkg/monitor/api/types.go`."""

TRACE_SUBTYPES = (
    "to-endpoint",
    "to-proxy",
    "to-host",
    "to-stack",
    "to-overlay",
    "from-endpoint",
    "from-proxy",
    "from-host",
    "from-stack",
    "from-overlay",
    "from-network",
    "to-network",
    "from-crypto",
    "to-crypto",
)
TCP_FLAGS = ("SYN", "FIN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS")


def choose(what: str, value: str, choices: Iterable[str]) -> str:
    """Give `value` if it is one of `choices`, else say which is nearest."""
    known = tuple(choices)
    if value in known:
        return value
    near = get_close_matches(value.casefold(), {each.casefold(): each for each in known}, 1)
    nearest = next((each for each in known if near and each.casefold() == near[0]), "")
    raise UsageError(
        f"`{value}` is not a {what}", hint=f"did you mean `{nearest}`" if nearest else ""
    )


def parse_identity(value: str) -> int:
    """A number or the name of a reserved identity."""
    if value.isascii() and value.isdecimal():
        return int(value)
    return RESERVED_IDENTITIES[choose("security identity", value, RESERVED_IDENTITIES)]


def parse_event_type(value: str) -> dict[str, Any]:
    """`TYPE[:SUBTYPE]`, each a name or a number."""
    kind, colon, sub_kind = value.partition(":")
    number = int(kind) if kind.isdecimal() else EVENT_TYPES[choose("type", kind, EVENT_TYPES)]
    if not colon:
        return {"type": number}
    if not sub_kind.isdecimal():
        traced = number == EVENT_TYPES["trace"]
        sub_kind = choose("sub-type", sub_kind, TRACE_SUBTYPES if traced else ())
        return {
            "type": number,
            "match_sub_type": True,
            "sub_type": TRACE_SUBTYPES.index(sub_kind),
        }
    return {"type": number, "match_sub_type": True, "sub_type": int(sub_kind)}


def parse_verdict(value: str) -> str:
    """The name of a verdict."""
    return choose("verdict", value, (key for key in names.VERDICTS if isinstance(key, str)))


def parse_drop_reason(value: str) -> str:
    """The name of a drop reason."""
    return choose(
        "drop reason", value, (key for key in names.DROP_REASON_NAMES if isinstance(key, str))
    )


def parse_direction(value: str) -> str:
    """`ingress` or `egress`."""
    return choose("traffic direction", value.lower(), ("ingress", "egress")).upper()


def parse_tcp_flags(value: str) -> dict[str, bool]:
    """A comma-separated set of TCP flags."""
    return {choose("TCP flag", each.upper(), TCP_FLAGS): True for each in value.split(",")}


def parse_ip_version(value: str) -> str:
    """`v4`, `v6`; anything else means no IP, as in Hubble."""
    wanted = value.lower().removeprefix("ip").removeprefix("v")
    return {"4": "IPv4", "6": "IPv6"}.get(wanted, "IP_NOT_USED")


def parse_header(value: str) -> dict[str, str]:
    """`name:value`."""
    key, colon, text = value.partition(":")
    if not colon:
        raise UsageError(f"`{value}` is not an HTTP header", hint="write name:value")
    return {"key": key, "value": text}


def parse_workload(value: str) -> dict[str, str]:
    """`[kind/]name`."""
    kind, slash, name = value.partition("/")
    return {"kind": kind, "name": name} if slash else {"kind": "", "name": value}


def parse_ip_trace_id(value: str) -> int:
    """A number above zero."""
    if not value.isdecimal() or not 0 < int(value) < 1 << 64:
        raise UsageError(f"`{value}` is not an IP trace id", hint="a number above 0")
    return int(value)
