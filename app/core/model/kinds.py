"""Kinds of policies, and what they are called in short."""

from __future__ import annotations

KNP = "NetworkPolicy"
CNP = "CiliumNetworkPolicy"
CCNP = "CiliumClusterwideNetworkPolicy"

CILIUM_KINDS = frozenset({CNP, CCNP})
POLICY_KINDS = CILIUM_KINDS | {KNP}
"""The kinds that the engine judges."""

SHORT_KINDS = {KNP: "KNP", CNP: "CNP", CCNP: "CCNP"}
