"""Random ports and ICMP fields."""

from __future__ import annotations

from typing import Any

from tests.oracle.clusters.dice import Dice
from tests.oracle.clusters.words import NAMED_PORTS, PORTS, TRANSPORTS

SPANS = (0, 1, 10, 1000, 9000)


def cilium_port(dice: Dice) -> dict[str, Any]:
    """Give one item of `toPorts[].ports`."""
    number = dice.pick(PORTS)
    port: dict[str, Any] = dice.call(
        {
            lambda: {"port": str(number)}: 60,
            lambda: {"port": dice.pick(list(NAMED_PORTS))}: 14,
            lambda: {"port": str(number), "endPort": number + dice.pick(SPANS)}: 12,
            lambda: {"port": "0"}: 5,
            lambda: {"port": "0", "endPort": dice.pick([80, 5000, 65535])}: 1,
            lambda: {"port": dice.pick(list(NAMED_PORTS)), "endPort": dice.pick([90, 9000])}: 2,
            lambda: {"port": dice.pick(["HTTP", "Web"])}: 1,
            lambda: {
                "port": dice.pick(["0120", "0x1bb", "080", "00443", "1_0", "8_0", "80_80", "65535"])
            }: 1,
            lambda: {"port": "1", "endPort": 65535}: 1,
            lambda: {"port": str(number), "endPort": max(number - 1, 0)}: 1,
        }
    )
    protocol = dice.pick([*TRANSPORTS, "ANY", None, "tcp"] if dice.chance(0.6) else ["TCP"])
    if protocol:
        port["protocol"] = protocol
    return port


def kubernetes_port(dice: Dice) -> dict[str, Any]:
    """Give one item of a NetworkPolicy's `ports`."""
    number = dice.pick(PORTS)
    port: dict[str, Any] = dice.call(
        {
            lambda: {"port": number}: 60,
            lambda: {"port": dice.pick(list(NAMED_PORTS))}: 18,
            lambda: {"port": number, "endPort": number + dice.pick(SPANS)}: 14,
            dict: 7,
            lambda: {"port": 0}: 1,
            lambda: {"port": dice.pick(list(NAMED_PORTS)), "endPort": 9000}: 1,
        }
    )
    if dice.chance(0.8):
        port["protocol"] = dice.pick(TRANSPORTS)
    return port


def icmp_fields(dice: Dice) -> list[dict[str, Any]]:
    """Give an `icmps` list; types by number or by name."""
    field: dict[str, Any] = dice.call(
        {
            lambda: {"type": dice.pick([8, 3, 0, 128])}: 3,
            lambda: {"type": dice.pick([8, 3]), "family": "IPv4"}: 3,
            lambda: {"type": dice.pick(["EchoRequest", "Echo"]), "family": "IPv4"}: 2,
            lambda: {"type": dice.pick(["EchoRequest", 128, 129]), "family": "IPv6"}: 2,
        }
    )
    return [{"fields": [field] if dice.chance(0.95) else []}]
