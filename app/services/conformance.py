"""Judge the engine against verdicts recorded from Cilium's own (docs/forms.md §4.3).

One JSON line is one cluster with its questions and the expected answers. Files are read line by
line, so memory does not grow with their size.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from ipaddress import ip_address
from typing import IO, Any

import msgspec

from app.core.cluster.build import build_cluster
from app.core.documents.packed import blocks_of, cut_lines, unpacked
from app.core.errors import BadInput
from app.core.model.cluster import DEFAULT_CILIUM_VERSION, ClusterConfig, EnforcementMode
from app.core.model.provenance import Manifest, ObjectRef
from app.core.model.verdict import (
    Decision,
    DirectionDecision,
    DnsRequest,
    HttpRequest,
    Outcome,
    Peer,
    Protocol,
    Question,
    Request,
    SniRequest,
    Verdict,
)
from app.core.policy.engine import Engine, without_policy
from app.core.text import clean

LONGEST_CASE = 64 << 20
"""Bytes of one case; the largest recorded one has 2 MB."""

_WORDS = {
    Outcome.ALLOWED: "allowed",
    Outcome.NOT_ENFORCED: "allowed",
    Outcome.DENIED: "denied",
    Outcome.REDIRECTED: "redirected",
}


class CaseConfig(msgspec.Struct, rename="camel"):
    """How the case's agent is set up; what is missing has Cilium's default."""

    cilium_version: str = ""
    dual_stack: bool = False
    policy_enforcement_mode: str = "default"


class HttpAsked(msgspec.Struct):
    """A request of a query; a missing method or path means GET and `/`."""

    method: str = "GET"
    path: str = "/"
    host: str = ""
    headers: dict[str, str] = {}


class Query(msgspec.Struct, rename={"source": "from", "destination": "to"}):
    """One question of a case."""

    source: str
    destination: str
    port: int
    protocol: Protocol
    http: HttpAsked | None = None
    dns: str = ""
    sni: str = ""


class ExpectedSide(msgspec.Struct, rename="camel"):
    """What one direction must say; `by` None is not judged."""

    verdict: str
    by: list[str] | None = None
    l4: str = ""
    by_unsure: bool = False


class Expected(msgspec.Struct):
    """What a query must be answered with; a missing direction is not judged."""

    verdict: str
    egress: ExpectedSide | None = None
    ingress: ExpectedSide | None = None


class ConformanceCase(msgspec.Struct):
    """One cluster with its questions. `invalid` None is not judged."""

    name: str
    objects: list[dict[str, Any]]
    queries: list[Query]
    config: CaseConfig = msgspec.field(default_factory=CaseConfig)
    invalid: dict[str, str] | None = None
    expect: list[Expected] | None = None


_DECODER = msgspec.json.Decoder(ConformanceCase)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One answer that differs. `about` names the query, or `invalid`."""

    file: str
    line: int
    case: str
    about: str
    expected: str
    got: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line} {self.case}"
        return clean(f"{where}: {self.about}: expected {self.expected}, got {self.got}")


class ConformanceReport:
    """The outcome of a run: iterate over it once, then read the totals.

    Yields each disagreement as it is found or, with `print_expect`, each case's computed answers as
    one JSON line.
    """

    def __init__(self, paths: Iterable[str], *, print_expect: bool = False) -> None:
        self.paths = tuple(paths)
        self.print_expect = print_expect
        self.cases = 0
        self.verdicts = 0
        self.disagreements = 0

    def __iter__(self) -> Iterator[Disagreement | str]:
        for path in self.paths:
            for number, line in _lines(path):
                case = _decode(line, path, number)
                self.cases += 1
                self.verdicts += len(case.queries)
                found = self._answer(case, path, number)
                self.disagreements += 0 if self.print_expect else len(found)
                yield from found

    def _answer(
        self, case: ConformanceCase, path: str, number: int
    ) -> Sequence[Disagreement | str]:
        try:
            if self.print_expect:
                return [computed_line(case)]
            return list(judge_case(case, path, number))
        except ValueError as error:
            raise BadInput(f"no conformance case: {error}", file=path, line=number) from error

    @property
    def summary(self) -> str:
        """The closing line."""
        return f"{self.cases} cases, {self.verdicts} verdicts, {self.disagreements} disagree"


def run(paths: Iterable[str], *, print_expect: bool = False) -> ConformanceReport:
    """Judge the files at `paths` (JSON lines, also `.gz`; `-` is standard input)."""
    return ConformanceReport(paths, print_expect=print_expect)


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with _opened(path) as stream:
            for lines in cut_lines(unpacked(blocks_of(stream)), LONGEST_CASE):
                for line in lines:
                    number += 1
                    if line.strip():
                        yield number, line
    except BadInput as error:
        raise BadInput(f"`{path}` cannot be read: {error.message}", file=path) from error
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"`{path}` cannot be read: {words}", file=path) from error


def _opened(path: str) -> AbstractContextManager[IO[bytes]]:
    if path != "-":
        return open(path, "rb")  # noqa: PTH123  # closed by whoever asked
    if sys.stdin is None:
        raise BadInput("there is no standard input", file=path)
    return nullcontext(sys.stdin.buffer)


def _decode(line: bytes, path: str, number: int) -> ConformanceCase:
    try:
        return _DECODER.decode(line)
    except msgspec.MsgspecError as error:
        raise BadInput(f"no conformance case: {error}", file=path, line=number) from error


def engine_of(case: ConformanceCase) -> Engine:
    """Build the case's cluster and its engine."""
    manifests = [_manifest(body) for body in case.objects]
    return Engine.build(build_cluster(manifests, _config(case.config)))


def _manifest(body: dict[str, Any]) -> Manifest:
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        raise ValueError("an object has no metadata")  # noqa: TRY004  # what the file says is wrong
    ref = ObjectRef(
        str(body.get("kind", "")), metadata.get("namespace") or "", metadata.get("name") or ""
    )
    return Manifest(ref, str(body.get("apiVersion", "")), body)


def _config(config: CaseConfig) -> ClusterConfig:
    return ClusterConfig(
        cilium_version=_version(config.cilium_version),
        dual_stack=config.dual_stack,
        enforcement=EnforcementMode(config.policy_enforcement_mode or "default"),
        engine_alone=True,
    )


def _version(text: str) -> tuple[int, int, int]:
    if not text:
        return DEFAULT_CILIUM_VERSION
    parts = [int(part) for part in text.removeprefix("v").split(".")[:3]]
    major, minor, patch = [*parts, 0, 0][:3]
    return major, minor, patch


def answers(case: ConformanceCase, engine: Engine) -> Iterator[Decision]:
    """Yield the engine's answer to each of a case's questions."""
    ends = {endpoint.key: engine.peer_of(endpoint) for endpoint in engine.cluster.endpoints}
    for query in case.queries:
        yield engine.decide(
            Question(
                _end(query.source, ends, engine),
                _end(query.destination, ends, engine),
                query.port,
                query.protocol,
                _request(query),
            )
        )


def _end(text: str, pods: dict[str, Peer], engine: Engine) -> Peer:
    kind, _, rest = text.partition(":")
    if kind == "pod":
        peer = pods.get(rest)
        if peer is None:
            raise ValueError(f"`{text}` is no pod of the case")
        return peer
    if kind == "ip":
        return engine.peer_of_outside(ip_address(rest))
    if kind == "fqdn":
        name, _, address = rest.partition("=")
        learned = frozenset((name.lower().removesuffix("."),))
        return engine.peer_of_outside(ip_address(address), learned)
    return without_policy(engine.peer_of_entity(rest))


def _request(query: Query) -> Request | None:
    if query.http is not None:
        asked = query.http
        return HttpRequest(asked.method, asked.path, asked.host, asked.headers)
    if query.dns:
        return DnsRequest(query.dns)
    return SniRequest(query.sni) if query.sni else None


def judge_case(case: ConformanceCase, path: str, number: int) -> Iterator[Disagreement]:
    """Yield every answer of the engine that differs from what the case expects."""
    engine = engine_of(case)
    if case.invalid is not None:
        expected = sorted(case.invalid)
        got = sorted(str(policy.ref) for policy in engine.rejected)
        if expected != got:
            yield Disagreement(
                file=path,
                line=number,
                case=case.name,
                about="invalid",
                expected=str(expected),
                got=str(got),
            )
    for query, decision, wanted in zip(
        case.queries, answers(case, engine), case.expect or (), strict=False
    ):
        for about, expected_text, got_text in _differences(wanted, decision):
            asked = f"{query.source} -> {query.destination} {query.port}/{query.protocol} {about}"
            yield Disagreement(
                file=path,
                line=number,
                case=case.name,
                about=asked,
                expected=expected_text,
                got=got_text,
            )


def _differences(wanted: Expected, decision: Decision) -> Iterator[tuple[str, str, str]]:
    got = _verdict(decision)
    if wanted.verdict != got:
        yield "verdict", wanted.verdict, got
    for name, side, answer in (
        ("egress", wanted.egress, decision.egress),
        ("ingress", wanted.ingress, decision.ingress),
    ):
        if side is not None:
            yield from _side_differences(name, side, answer)


def _side_differences(
    name: str, wanted: ExpectedSide, answer: DirectionDecision
) -> Iterator[tuple[str, str, str]]:
    got = _WORDS.get(answer.outcome, str(answer.outcome))
    if wanted.verdict != got:
        yield name, wanted.verdict, got
    l4 = _WORDS.get(answer.l4 or answer.outcome, "")
    if wanted.l4 and wanted.l4 != l4:
        yield f"{name} layer 3/4", wanted.l4, l4
    if wanted.by is None or wanted.by_unsure:
        return
    by = sorted(str(ref) for ref in answer.by)
    if sorted(wanted.by) != by:
        yield f"{name} by", str(sorted(wanted.by)), str(by)


def _verdict(decision: Decision) -> str:
    return "allowed" if decision.verdict is Verdict.ALLOWED else decision.verdict.value


def computed_line(case: ConformanceCase) -> str:
    """Give the case's computed `invalid` and `expect` as one JSON line."""
    engine = engine_of(case)
    invalid = {str(policy.ref): policy.reason for policy in engine.rejected}
    expect = [
        _computed(query, decision)
        for query, decision in zip(case.queries, answers(case, engine), strict=True)
    ]
    computed = {"name": case.name, "invalid": invalid, "expect": expect}
    return msgspec.json.encode(computed).decode()


def _computed(query: Query, decision: Decision) -> dict[str, Any]:
    found: dict[str, Any] = {"verdict": _verdict(decision)}
    asked_request = _request(query) is not None
    for name, answer in (("egress", decision.egress), ("ingress", decision.ingress)):
        if answer.outcome is Outcome.NOT_APPLICABLE:
            continue
        side: dict[str, Any] = {
            "verdict": _WORDS[answer.outcome],
            "by": [str(ref) for ref in answer.by],
        }
        if asked_request:
            side["l4"] = _WORDS[answer.l4 or answer.outcome]
        found[name] = side
    return found
