"""The evidence pack: what a TRE shows its auditors, every claim with its proof.

The same inputs give the same pack: no clock is read here, and every list has an order. What was
not read is in the claim that it could change, and takes its standing away.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.core.diagnose.boundaries import judge_boundaries
from app.core.flows.times import format_time
from app.core.insights.alert import Alerts
from app.core.insights.claims import (
    Claim,
    Grounds,
    Proof,
    Standing,
    configuration_checked,
    encrypted,
    internet_blocked,
    projects_apart,
)
from app.core.insights.party import Directory
from app.core.insights.sight import sight_of
from app.core.lint.finding import Severity
from app.core.model.flow import FlowBatch
from app.core.model.provenance import Manifest
from app.services.contract import Form, document, finding_form, ruling_form
from app.services.insight_contract import alert_form
from app.services.lint import LintReport
from app.services.picture import Picture

MOST_SHOWN = 20
TRACE = 4


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that was read; `sha256` is empty where it could not be hashed."""

    name: str
    sha256: str


@dataclass(slots=True)
class Usage:
    """Who used what in the flows at hand, by namespace; and how many traces were encrypted."""

    flows: int = 0
    lost: int = 0
    unreadable: int = 0
    first_ns: int = 0
    last_ns: int = 0
    traces: int = 0
    encrypted: int = 0
    ways: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _directory: Directory = field(default_factory=Directory)

    def take(self, batch: FlowBatch) -> None:
        """Count what a source delivered."""
        self.lost += sum(one.count for one in batch.lost) + batch.dropped
        self.unreadable += batch.unreadable
        for flow in batch.flows:
            self.flows += 1
            self.first_ns = min(self.first_ns or flow.time_ns, flow.time_ns)
            self.last_ns = max(self.last_ns, flow.time_ns)
            if flow.event == TRACE:
                self.traces += 1
                self.encrypted += flow.detail.encrypted
            sight = sight_of(flow, self._directory)
            if sight is not None and len(self.ways) < 100_000:  # noqa: PLR2004  # pairs of namespaces
                ends = (sight.client, sight.server)
                here, there = (one.namespace or one.kind.value for one in ends)
                self.ways[here, there, sight.shows.value] += 1


@dataclass(frozen=True, slots=True)
class Keeping:
    """Whether flows are kept beyond Hubble's memory: where, for how many days, since when."""

    where: str = ""
    days: int = 0
    oldest_ns: int | None = None
    newest_ns: int | None = None
    flows: int = 0
    dropped: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """Everything a pack is made of. `settings` is None where Cilium's were not read."""

    picture: Picture
    manifests: Sequence[Manifest]
    settings: Mapping[str, str] | None
    lint: LintReport
    alerts: Alerts
    usage: Usage
    keeping: Keeping | None
    files: tuple[InputFile, ...]
    source: str
    version: str
    as_of: str = ""


def make_pack(made: Materials) -> Form:
    """The whole pack, in the form of docs/forms.md §4.7."""
    picture = made.picture
    rulings = judge_boundaries(picture.boundaries, picture.engine)
    grounds = Grounds(picture.engine, rulings, made.settings)
    errors = [one for one in made.lint.findings if one.severity is Severity.ERROR]
    shown = [
        Proof(f"{one.code} {one.name}: {one.summary}", _place(one.file, one.line), supports=False)
        for one in errors
    ]
    claims = (
        projects_apart(grounds),
        internet_blocked(grounds),
        configuration_checked(grounds, shown, made.lint.policies, len(errors)),
        _usage_claim(made),
        _logs_claim(made),
        encrypted(grounds, (made.usage.encrypted, made.usage.traces)),
    )
    config = picture.cluster.config
    return document(
        {
            "source": made.source,
            "as_of": made.as_of or None,
            "versions": {
                "k8tre_tui": made.version,
                "cilium": ".".join(map(str, config.cilium_version)),
            },
            "inputs": {
                "objects": len(made.manifests),
                "objects_sha256": _digest(made.manifests),
                "files": [{"name": one.name, "sha256": one.sha256 or None} for one in made.files],
            },
            "window": _window(made.usage),
            "projects": list(grounds.projects),
            "claims": [_claim_form(one) for one in claims],
            "boundaries": [ruling_form(one) for one in rulings],
            "exceptions": _exceptions(made.lint),
            "lint": [finding_form(one) for one in made.lint.findings],
            "violations": [alert_form(one, made.alerts) for one in made.alerts.items],
            "not_read": [str(one) for one in picture.cluster.unread],
        }
    )


def standings(pack: Form) -> dict[str, Standing]:
    """The standing of each statement."""
    return {one["statement"]: Standing(one["standing"]) for one in pack["claims"]}


def _usage_claim(made: Materials) -> Claim:
    usage, alerts = made.usage, made.alerts
    title = "Use of the network is monitored"
    says = "Who connects to whom is observed, and refused connections are told with their cause."
    if not usage.flows:
        doubt = "no flows were read: give --flows, or name a cluster with Hubble"
        return Claim("2.2.13", title, says, Standing.NOT_SHOWN, (), (doubt,))
    proofs = [
        Proof(
            f"{usage.flows:,} flows observed from {format_time(usage.first_ns)} to "
            f"{format_time(usage.last_ns)}"
        )
    ]
    severities = Counter(one.severity.value for one in alerts.items)
    told = ", ".join(f"{count} {name}" for name, count in sorted(severities.items())) or "none"
    proofs.append(Proof(f"violations and patterns in them: {told} (listed below)"))
    proofs += [
        Proof(f"{here} → {there}: {count:,} flows {shows}")
        for (here, there, shows), count in sorted(
            usage.ways.items(), key=lambda item: (-item[1], item[0])
        )[:MOST_SHOWN]
    ]
    doubts = []
    if usage.lost:
        doubts.append(f"{usage.lost:,} events were lost before they could be read")
    if usage.unreadable:
        doubts.append(f"{usage.unreadable:,} lines could not be read as flows")
    doubts.append("traces are thinned by Cilium's monitor aggregation: flows are no packet counts")
    standing = Standing.NOT_SHOWN if usage.unreadable else Standing.HOLDS
    return Claim("2.2.13", title, says, standing, tuple(proofs), tuple(doubts))


def _logs_claim(made: Materials) -> Claim:
    title = "Logs of the network are kept"
    says = "Flows are kept beyond the agents' memory, and what is missing of them is counted."
    keeping, settings = made.keeping, made.settings
    proofs: list[Proof] = []
    if settings is not None:
        hubble = settings.get("enable-hubble", "not set")
        place = "ConfigMap kube-system/cilium-config"
        proofs.append(Proof(f"enable-hubble = {hubble}", place, supports=hubble == "true"))
        if path := settings.get("hubble-export-file-path"):
            proofs.append(Proof(f"agents export flows to {path}", place))
    if keeping is None:
        doubt = "whether flows are kept: no history was at hand (it is kept of a live cluster)"
        return Claim("2.5.03", title, says, Standing.NOT_SHOWN, tuple(proofs), (doubt,))
    if keeping.failure or keeping.oldest_ns is None or keeping.newest_ns is None:
        why = keeping.failure or "nothing is in it yet"
        proofs.append(Proof(f"{keeping.where}: {why}", supports=False))
        return Claim("2.5.03", title, says, Standing.FAILS, tuple(proofs))
    proofs.append(
        Proof(
            f"{keeping.flows:,} flows in {keeping.where}, from {format_time(keeping.oldest_ns)} to "
            f"{format_time(keeping.newest_ns)}, kept for {keeping.days} days at most"
        )
    )
    doubts = [f"{keeping.dropped:,} flows never reached it"] if keeping.dropped else []
    doubts.append("times in which nobody recorded are not told apart from quiet ones")
    return Claim("2.5.03", title, says, Standing.HOLDS, tuple(proofs), tuple(doubts))


def _exceptions(lint: LintReport) -> list[Form]:
    """What somebody accepted, with the reason: findings that are silenced."""
    return [
        {
            "what": f"{one.finding.code} {one.finding.name}",
            "policy": str(one.finding.policy),
            "reason": one.reason,
            "file": one.finding.file,
            "line": one.finding.line,
        }
        for one in sorted(
            lint.silenced, key=lambda one: (one.finding.code, str(one.finding.policy))
        )
    ]


def _claim_form(claim: Claim) -> Form:
    return {
        "statement": claim.statement,
        "title": claim.title,
        "says": claim.says,
        "standing": claim.standing.value,
        "proofs": [
            {"text": one.text, "ref": one.ref or None, "supports": one.supports}
            for one in claim.proofs
        ],
        "not_known": list(claim.not_known),
    }


def _window(usage: Usage) -> Form:
    seen = bool(usage.flows)
    return {
        "first": format_time(usage.first_ns) if seen else None,
        "last": format_time(usage.last_ns) if seen else None,
        "flows": usage.flows,
        "lost_events": usage.lost,
        "unreadable": usage.unreadable,
    }


def _digest(manifests: Iterable[Manifest]) -> str:
    """One hash over all objects, in the order of their names; status is left out, it ticks."""
    lines = sorted(
        json.dumps(
            {key: value for key, value in one.body.items() if key != "status"},
            sort_keys=True,
            default=str,
            separators=(",", ":"),
        )
        for one in manifests
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _place(file: str | None, line: int | None) -> str:
    return f"{file}:{line}" if file and line else file or ""
