"""How sure the verdicts on many connections are, at the cost of those that are not.

A list of pairs promises as much as one answer does, and the same table takes its certainty
(`app.core.diagnose.doubts`). Most pictures leave nothing open for most pairs, so a pair is looked
at closely only where something about one of its namespaces is. An address stands for those that no
name was learnt for: names are asked about by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from app.core.diagnose.doubts import Doubt, Doubtful, at_most, leg_doubts, unread_words
from app.core.diagnose.ends import ResolvedEnd
from app.core.diagnose.namespaces import is_unread, selects_by_namespace_labels
from app.core.diagnose.question import Leg
from app.core.model.answer import CauseCode, Confidence
from app.core.model.cluster import IdentityKind
from app.core.model.verdict import Decision, Outcome, Peer, Question, Verdict
from app.core.policy.cilium import DERIVED
from app.core.policy.engine import Engine
from app.core.policy.rules import ParsedPolicy

MOST_TEXTS = 5
"""Things not known that are told of a whole list."""


@dataclass(frozen=True, slots=True)
class Known:
    """How sure a verdict is, and what it does not rest on."""

    confidence: Confidence = Confidence.CERTAIN
    not_known: tuple[str, ...] = ()


CERTAIN = Known()


@dataclass
class PairDoubts:
    """Says of connections under one engine how sure their verdicts are."""

    engine: Engine
    _unread: dict[frozenset[str] | None, tuple[str, ...]] = field(default_factory=dict)

    def about(self, question: Question, decision: Decision) -> Known:
        """Say how sure a verdict is."""
        if self._is_open(question, decision):
            trace = self.engine.trace(question)
            leg = Leg(_end(question.source), _end(question.destination), trace)
            doubts = leg_doubts(leg, self.engine)
            found = tuple(one for one in doubts if one.doubt is not Doubt.LEARNT_NAMES)
        else:
            texts = self._unread_between(question)
            found = tuple(Doubtful(Doubt.UNREAD, text) for text in texts)
        if not found:
            return CERTAIN
        said = tuple(one.text or one.doubt.value for one in found)
        return Known(at_most(found, _code_of(decision)), said)

    @property
    def may_doubt(self) -> bool:
        """Whether anything is open anywhere."""
        unread = bool(self.engine.cluster.unread)
        return unread or self._everywhere or bool(self._namespaces)

    def _is_open(self, question: Question, decision: Decision) -> bool:
        """Whether more than what was not read can be open about a connection."""
        source, destination = question.source, question.destination
        if decision.verdict is Verdict.UNKNOWN or self._everywhere:
            return True
        if not self._namespaces.isdisjoint((_namespace(source), _namespace(destination))):
            return True
        return is_apiserver(source) and destination.endpoint is not None

    def _unread_between(self, question: Question) -> tuple[str, ...]:
        ends = question.source.endpoint, question.destination.endpoint
        found = frozenset(one.namespace for one in ends if one is not None)
        key = found if None not in ends else None
        if key not in self._unread:
            self._unread[key] = unread_words(self.engine.cluster.unread, key)
        return self._unread[key]

    @cached_property
    def _everywhere(self) -> bool:
        """Whether something is open about whatever namespace."""
        return "" in self._open_ones or self.engine.cluster.config.host_firewall

    @cached_property
    def _namespaces(self) -> frozenset[str]:
        return self._open_ones | frozenset(self._unlabelled())

    @cached_property
    def _open_ones(self) -> frozenset[str]:
        """The namespaces of policies that leave something open; empty for those of the cluster."""
        found = [one.ref.namespace for one in self.engine.policies if _leaves_open(one)]
        return frozenset((*found, *(one.ref.namespace for one in self.engine.rejected)))

    def _unlabelled(self) -> Iterator[str]:
        """Yield the namespaces whose labels are not known, where a policy looks at any."""
        engine = self.engine
        if any(map(selects_by_namespace_labels, engine.policies)):
            for endpoint in engine.cluster.endpoints:
                if is_unread(endpoint, engine):
                    yield endpoint.namespace


def is_apiserver(peer: Peer) -> bool:
    """Whether an end is the API server, which may arrive as its node's router."""
    return peer.kind is IdentityKind.KUBE_APISERVER


def _leaves_open(policy: ParsedPolicy) -> bool:
    return (
        bool(policy.unfilled)
        or any(one.text.endswith(DERIVED) for one in policy.warnings)
        or any(entry.auth for entry in policy.entries)
    )


def _namespace(peer: Peer) -> str | None:
    return peer.endpoint.namespace if peer.endpoint is not None else None


def _end(peer: Peer) -> ResolvedEnd:
    return ResolvedEnd(peer, peer.text, peer.endpoint)


def _code_of(decision: Decision) -> CauseCode:
    """The cause that a verdict alone shows."""
    if decision.verdict is not Verdict.DENIED:
        return CauseCode.NONE
    if decision.egress.outcome is Outcome.DENIED:
        by, codes = decision.egress.by, _EGRESS
    else:
        by, codes = decision.ingress.by, _INGRESS
    return codes[bool(by)]


_EGRESS = (CauseCode.EGRESS_DEFAULT_DENY, CauseCode.EGRESS_EXPLICIT_DENY)
_INGRESS = (CauseCode.INGRESS_DEFAULT_DENY, CauseCode.INGRESS_EXPLICIT_DENY)


def told(several: Iterable[Known], most: int = MOST_TEXTS) -> tuple[str, ...]:
    """What is not known of any of them, each once, and how much more there is."""
    texts = tuple(dict.fromkeys(text for one in several for text in one.not_known))
    more = len(texts) - most
    return texts if more <= 0 else (*texts[:most], f"{more} more things (`k8tre-tui doctor`)")
