"""Address blocks as policies write them."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from app.core.model.cluster import Network
from app.core.policy.context import ParseContext
from app.core.policy.rules import CidrSelector

Excepted = tuple[tuple[str, Network], ...]
"""Excepted blocks, each with its text."""

_PREFIX_LENGTH = re.compile(r"/(?:0|[1-9][0-9]{0,2})\Z")


def parse_block(written: str) -> Network | None:
    """Read `address/length` as Go's `netip.ParsePrefix`; None where Go refuses."""
    if "%" in written or not _PREFIX_LENGTH.search(written):
        return None
    try:
        return ip_network(written, strict=False)
    except ValueError:
        return None


def single_address(written: str) -> Network | None:
    """Read an address without a length as the block of it alone; None when it is none."""
    try:
        return ip_network(ip_address(written))
    except ValueError:
        return None


def cidr_selector(
    written: str,
    block: Network,
    excepted: Excepted,
    context: ParseContext,
    path: str,
) -> CidrSelector:
    """Make the selector of a block; the same text is the same selector."""
    key = f"cidr:{written}{except_text(excepted)}"
    holes = ", ".join(hole for hole, _ in excepted)
    shown = f"{written} except {holes}" if holes else written
    blocks = tuple(item for _, item in excepted)
    return CidrSelector(
        key=key,
        block=block,
        excepted=blocks,
        world_key=context.world_key(block),
        text=shown,
        path=path,
    )


def except_text(excepted: Excepted) -> str:
    """Show excepted blocks as the agent's selector keys do."""
    return f"-[{','.join(written for written, _ in excepted)}]" if excepted else ""
