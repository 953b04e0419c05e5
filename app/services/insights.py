"""What flows show of violations and patterns, the same for every face.

`alerts_of` answers once over flows at hand. An `AlertBook` follows a stream: it looks at each flow
when it comes, and what it says costs by groups of flows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.core.diagnose.evidence import clock
from app.core.flows.ring import Ring
from app.core.flows.times import parse_time
from app.core.insights.alert import Alert, Alerts, AlertSeverity, AlertState
from app.core.insights.patterns.drop_rise import PolicyChange
from app.core.insights.violations import Judge
from app.core.insights.watch import Watch
from app.core.model.cluster import Cluster
from app.core.model.flow import Flow, FlowBatch
from app.core.model.provenance import Manifest, ObjectRef, RuleRef
from app.core.text import clean
from app.services.located import same_rules
from app.services.names import NameBook
from app.services.picture import Picture, rename_learned

_DEPLOYERS = (
    ("argocd.argoproj.io/tracking-id", "by Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "by Flux"),
    ("app.kubernetes.io/managed-by", "managed by"),
)
"""Annotations and labels that say who keeps an object. Source: Argo CD `docs/user-guide/
resource_tracking.md`, Flux `kustomize-controller`."""


def alerts_of(picture: Picture, flows: Iterable[Flow], *, lost: int = 0, now_ns: int = 0) -> Alerts:
    """Every alert of some flows, as of `now_ns` (0: the time of the newest flow)."""
    book = AlertBook()
    book.know(picture)
    book.take(FlowBatch(tuple(flows)))
    book.watch.lost = lost
    return book.alerts(picture, now_ns)


class AlertBook:
    """The alerts of a stream of flows. `take` or `follow` it, then ask for `alerts`.

    It belongs to one thread at a time.
    """

    def __init__(self) -> None:
        self.watch = Watch()
        self._names = NameBook()
        self._judge: Judge | None = None
        self._judged: Cluster | None = None
        self._next_seq = 0
        self._policies: tuple[Manifest, ...] = ()
        self._is_first = True

    def know(self, picture: Picture) -> None:
        """Take over which pods belong to which workload, before flows are looked at.

        A policy that is another than in the picture before was changed as of this one.
        """
        self.watch.know(picture.cluster)
        policies = picture.cluster.policies
        if policies is self._policies:
            return
        before = {one.ref: one for one in self._policies}
        for change in policy_changes(before, policies, picture.as_of_ns, first=self._is_first):
            self.watch.note_change(change)
        self._policies, self._is_first = policies, False

    def take(self, batch: FlowBatch) -> None:
        """Look at what a source delivered."""
        self._names.learn(batch.flows)
        self.watch.take(batch)

    def follow(self, ring: Ring) -> int:
        """Look at what came into a ring since the last call; gives how many flows.

        Flows that the ring let go meanwhile count as lost.
        """
        first = max(self._next_seq, ring.first_seq)
        missed = first - self._next_seq if self._next_seq else 0
        flows = ring.range(first, ring.next_seq)
        self._next_seq = ring.next_seq
        self.take(FlowBatch(tuple(flows), dropped=missed))
        return len(flows)

    def alerts(self, picture: Picture, now_ns: int = 0) -> Alerts:
        """Every alert as of `now_ns` (0: the time of the newest flow), judged by a picture."""
        self.know(picture)
        return self.watch.alerts(self._judge_of(picture), now_ns)

    def _judge_of(self, picture: Picture) -> Judge:
        """The judge of a picture; what it found out holds as long as no policy or pod changed."""
        cluster, before = picture.cluster, self._judged
        self._judged = cluster
        if (
            self._judge is not None
            and before is not None
            and cluster.policies is before.policies
            and cluster.endpoints is before.endpoints
        ):
            self._judge.engine = picture.engine
            return self._judge
        names = {**self._names.names(), **cluster.learned_names}
        if names and not cluster.learned_names:
            picture = rename_learned(picture, names)
        self._judge = Judge(picture.engine, picture.boundaries, picture.as_of_ns)
        return self._judge


def policy_changes(
    before: Mapping[ObjectRef, Manifest],
    after: Iterable[Manifest],
    as_of_ns: int,
    *,
    first: bool = False,
) -> Iterator[PolicyChange]:
    """Yield the policies that came, went or became others.

    Of the first picture only those are told whose time of creation it gives.
    """
    here: set[ObjectRef] = set()
    for one in after:
        here.add(one.ref)
        was = before.get(one.ref)
        if was is not None and same_rules(was, one):
            continue
        created_ns = _created_ns(one)
        if first or was is None:
            time_ns = created_ns or (0 if first else as_of_ns)
            word = "was created"
        else:
            time_ns, word = as_of_ns, "was changed"
        if time_ns:
            rule = RuleRef(one.ref, "spec", one.file, one.line_of("spec"))
            yield PolicyChange(time_ns, rule, f"{one.ref} {word} at {clock(time_ns)}{_by(one)}")
    for ref in before.keys() - here:
        text = f"{ref} was deleted at {clock(as_of_ns)}"
        yield PolicyChange(as_of_ns, RuleRef(ref, "spec"), text)


def _created_ns(one: Manifest) -> int:
    text = _metadata(one).get("creationTimestamp")
    try:
        return parse_time(str(text)) if text else 0
    except ValueError:
        return 0


def _by(one: Manifest) -> str:
    """What deployed it, where Argo CD or Flux say so on the object; a commit where one is named."""
    notes = {
        **_mapping(_metadata(one).get("labels")),
        **_mapping(_metadata(one).get("annotations")),
    }
    told = [f"{word} {clean(str(notes[key]), 80)}" for key, word in _DEPLOYERS if notes.get(key)]
    return f" ({', '.join(told)})" if told else ""


def _metadata(one: Manifest) -> Mapping[str, Any]:
    return _mapping(one.body.get("metadata"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


class Changes:
    """Tells what of the alerts is news: one that began, came back, got worse or ended."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[AlertState, AlertSeverity]] = {}

    def of(self, alerts: Alerts) -> Iterator[Alert]:
        """Yield what was not told yet, or is otherwise than it was told."""
        present = {one.id for one in alerts.items}
        self._told = {key: told for key, told in self._told.items() if key in present}
        for one in alerts.items:
            state = (one.state, one.severity)
            if self._told.get(one.id) != state:
                self._told[one.id] = state
                yield one


def at_least(alerts: Alerts, severity: AlertSeverity) -> tuple[Alert, ...]:
    """Those of this severity or a higher one that have not ended."""
    return tuple(
        one
        for one in alerts.items
        if one.severity.rank <= severity.rank and one.state is not AlertState.ENDED
    )
