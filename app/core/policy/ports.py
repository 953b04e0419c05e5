"""Ports and ICMP types: how they are written, and which port a look-up prefers."""

from __future__ import annotations

import re
from functools import lru_cache

MAX_PORT = 65535
PORT_BITS = 16
PROTOCOL_BITS = 8
TRANSPORT_PROTOCOLS = ("TCP", "UDP", "SCTP")

EXTENDED_PROTOCOLS = frozenset({"VRRP", "IGMP"})
TUNNEL_PROTOCOLS = frozenset({"GRE", "IPIP", "IPV6", "ESP", "AH"})
"""Known to Cilium from 1.20 on."""

_SERVICE_NAME = re.compile(r"(?=.*[a-zA-Z])[a-zA-Z0-9]+(?:-[a-zA-Z0-9]+)*\Z")
MAX_SERVICE_NAME = 15
_GO_UNSIGNED = re.compile(
    r"0[xX](?P<hex>_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)\Z"
    r"|0[bB](?P<bin>_?[01]+(?:_[01]+)*)\Z"
    r"|0[oO]?(?P<oct>_?[0-7]+(?:_[0-7]+)*)\Z"
    r"|(?P<dec>0|[1-9][0-9]*(?:_[0-9]+)*)\Z"
)
_DIGITS = 64
"""Digits, without zeros before them, of which no more can be a port."""
_BASES = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}

ICMP_TYPES = {
    "EchoReply": 0,
    "DestinationUnreachable": 3,
    "Redirect": 5,
    "Echo": 8,
    "EchoRequest": 8,
    "RouterAdvertisement": 9,
    "RouterSelection": 10,
    "TimeExceeded": 11,
    "ParameterProblem": 12,
    "Timestamp": 13,
    "TimestampReply": 14,
    "Photuris": 40,
    "ExtendedEchoRequest": 42,
    "ExtendedEchoReply": 43,
}
"""Source: Cilium `pkg/policy/api/icmp.go` `icmpIpv4TypeNameToCode`."""

ICMPV6_TYPES = {
    "DestinationUnreachable": 1,
    "PacketTooBig": 2,
    "TimeExceeded": 3,
    "ParameterProblem": 4,
    "EchoRequest": 128,
    "EchoReply": 129,
    "MulticastListenerQuery": 130,
    "MulticastListenerReport": 131,
    "MulticastListenerDone": 132,
    "RouterSolicitation": 133,
    "RouterAdvertisement": 134,
    "NeighborSolicitation": 135,
    "NeighborAdvertisement": 136,
    "RedirectMessage": 137,
    "RouterRenumbering": 138,
    "ICMPNodeInformationQuery": 139,
    "ICMPNodeInformationResponse": 140,
    "InverseNeighborDiscoverySolicitation": 141,
    "InverseNeighborDiscoveryAdvertisement": 142,
    "HomeAgentAddressDiscoveryRequest": 144,
    "HomeAgentAddressDiscoveryReply": 145,
    "MobilePrefixSolicitation": 146,
    "MobilePrefixAdvertisement": 147,
    "DuplicateAddressRequestCodeSuffix": 157,
    "DuplicateAddressConfirmationCodeSuffix": 158,
    "ExtendedEchoRequest": 160,
    "ExtendedEchoReply": 161,
}
"""Source: Cilium `pkg/policy/api/icmp.go` `icmpIpv6TypeNameToCode`."""


def is_service_name(text: str) -> bool:
    """Say whether a port is a name: IANA's grammar, so `0x10` is a name too.

    Source: Cilium `pkg/iana/svcname.go` `IsSvcName`.
    """
    return 0 < len(text) <= MAX_SERVICE_NAME and _SERVICE_NAME.match(text) is not None


def parse_number(text: str) -> int | None:
    """Read a port as Go's `strconv.ParseUint(text, 0, 16)`; None where Go refuses.

    A leading zero means octal: `0120` is 80, `080` is refused.
    """
    match = _GO_UNSIGNED.match(text)
    if match is None or match.lastgroup is None:
        return None
    digits = match.group(match.lastgroup).replace("_", "").lstrip("0")
    if len(digits) > _DIGITS:
        return None
    number = int(digits or "0", _BASES[match.lastgroup])
    return number if number <= MAX_PORT else None


def table_number(text: str) -> int:
    """Give the number Cilium 1.19 files a port under: the text read as decimal.

    Source: Cilium `pkg/policy/l4.go` `parsePortProtocol`, which ignores the parse error.
    """
    if not text.isascii() or not text.isdigit():
        return 0
    digits = text.lstrip("0")
    return min(int(digits or "0"), MAX_PORT) if len(digits) <= _DIGITS else MAX_PORT


@lru_cache(maxsize=65536)
def prefix_length(start: int, end: int, port: int) -> int | None:
    """Give the bits of the block of `start..end` that holds `port`; None when none does.

    The policy map splits a range into aligned powers of two, and the longest block wins a
    look-up. An end that is not above the start means the single port.
    Source: Cilium `pkg/policy/portrange.go` `PortRangeToMaskedPorts`.
    """
    if start == 0 and end in (0, MAX_PORT):
        return 0
    end = max(start, end)
    if not start <= port <= end:
        return None
    for bits in range(1, PORT_BITS):
        size = 1 << (PORT_BITS - bits)
        first = block_start(port, bits)
        if start <= first and first + size - 1 <= end:
            return bits
    return PORT_BITS


def in_range(start: int, end: int, port: int) -> bool:
    """Say whether `port` is in `start..end`, where 0 without an end is every port."""
    return prefix_length(start, end, port) is not None


def block_start(port: int, bits: int) -> int:
    """Give the first port of the block with `bits` fixed bits that holds `port`."""
    return port & ~((1 << (PORT_BITS - bits)) - 1)
