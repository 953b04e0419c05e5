"""Addresses replaced so that every block that held an address holds its stand-in.

Each bit is turned round or not by a keyed function of the bits before it, so two addresses share
as many leading bits as before (Crypto-PAn, Xu et al. 2002). Blocks with a meaning of their own stay
where they are: those whose addresses are the same everywhere whole, private ones as blocks.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

_FIXED = (
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "192.192.192.192/32",
    "224.0.0.0/3",
    "::/127",
    "::ffff:0:0/96",
    "fe80::/10",
    "ff00::/8",
)
"""The same everywhere: this host, link-local, multicast, and the address that Cilium's operator
gives Services of a gateway (`operator/pkg/model`), which names no host."""
_KEPT_AS_BLOCKS = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
_Block = IPv4Network | IPv6Network
_FIXED_BLOCKS: tuple[_Block, ...] = tuple(map(ip_network, _FIXED))
_BLOCKS: tuple[_Block, ...] = (*_FIXED_BLOCKS, *map(ip_network, _KEPT_AS_BLOCKS))


def _ways() -> frozenset[tuple[int, int, int]]:
    """Version, length and bits of every prefix that leads to a block that stays."""
    return frozenset(
        (block.version, length, int(block.network_address) >> (block.max_prefixlen - length))
        for block in _BLOCKS
        for length in range(block.prefixlen)
    )


_WAYS = _ways()


class AddressMap:
    """Stand-ins under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._turned: dict[tuple[int, int, int], int] = {}

    def replace(self, text: str) -> str | None:
        """The stand-in of an address or a block, in its own form; None when it is neither."""
        host, slash, length = text.partition("/")
        try:
            address = ip_address(host)
            if slash:
                ip_network(text, strict=False)
        except ValueError:
            return None
        if any(address in block for block in _FIXED_BLOCKS if block.version == address.version):
            return f"{address}{slash}{length}"
        bits = self._replaced(int(address), address.version, address.max_prefixlen)
        return f"{type(address)(bits)}{slash}{length}"

    def _replaced(self, bits: int, version: int, width: int) -> int:
        result = 0
        for length in range(width):
            left = width - length
            bit = bits >> (left - 1) & 1
            result = result << 1 | (bit ^ self._turns(version, length, bits >> left))
        return result

    def _turns(self, version: int, length: int, prefix: int) -> int:
        place = (version, length, prefix)
        if place in _WAYS:
            return 0
        if (turned := self._turned.get(place)) is None:
            digest = hashlib.blake2s(repr(place).encode(), key=self._key, digest_size=1).digest()
            turned = self._turned[place] = digest[0] & 1
        return turned
