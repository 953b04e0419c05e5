"""Names that DNS taught: which address was given for which name, as flows show it.

Cilium learns names from answers that its DNS proxy saw, and Hubble shows those answers
(`l7.dns` responses) and puts learned names on later flows (`destination_names`).
Source: Cilium `pkg/fqdn/dnsproxy`, `pkg/hubble/parser/getters`; limits `pkg/defaults/defaults.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from app.core.model.cluster import Address
from app.core.model.flow import Flow

MOST_NAMES = 20_000
"""Names kept. A workload chooses the names it asks for, so the number must have an end."""

MOST_ADDRESSES = 1_000
"""Addresses kept of one name: Cilium's own `tofqdns-endpoint-max-ip-per-hostname`."""


class NameBook:
    """Grows with flows; `learn` says whether anything new was in them."""

    def __init__(self) -> None:
        self._addresses: dict[str, dict[str, Address]] = {}

    def learn(self, flows: Iterable[Flow]) -> bool:
        """Note every name of `flows`; True when a name or address was new."""
        new = 0
        for flow in flows:
            if flow.l7 is not None and flow.l7.dns is not None:
                dns = flow.l7.dns
                new += sum(self._note(dns.query, ip) for ip in dns.ips)
            if flow.destination_names:
                ip = flow.destination_ip
                new += sum(self._note(name, ip) for name in flow.destination_names)
        return new > 0

    def names(self) -> dict[str, tuple[Address, ...]]:
        """A copy: name (lower-case, no final dot) to its addresses in order of arrival."""
        return {name: tuple(known.values()) for name, known in self._addresses.items()}

    def _note(self, name: str, ip: str) -> bool:
        name = name.rstrip(".").lower()
        known = self._addresses.get(name)
        if known is not None and (ip in known or len(known) >= MOST_ADDRESSES):
            return False
        if not name or (known is None and len(self._addresses) >= MOST_NAMES):
            return False
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        self._addresses.setdefault(name, {})[ip] = address
        return True
