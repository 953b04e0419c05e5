"""What a command is given: its words, its output, the settings, and a loaded picture on demand."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from app.cli.options import collect
from app.cli.output import Output, Style
from app.core.flows.times import NS_PER_S
from app.core.model.unread import UNREAD

if TYPE_CHECKING:
    from app.bootstrap.sources import Sources
    from app.config import Loaded
    from app.core.model.provenance import Notice
    from app.ports import FlowRequest
    from app.services.doctor import Surroundings
    from app.services.picture import Picture
    from app.services.workspace import Workspace

Row = TypeVar("Row")

SILENT_S = 1.0
"""Seconds after which a person at a terminal wonders whether anything happens."""
WAIT_S = 10.0
WAIT_FOR_ALL_S = 120.0
HELM = "helm"
"""The program that renders charts, unless another is named."""

WHOLE = ("snapshot", "evidence", "record")
"""Commands that read everything to keep it, rather than to answer one question."""

LISTS = ("policies", "endpoints", "matrix", "doctor")

INVENTORIES = ("policies", "endpoints", "matrix")
"""Commands that say what there is, and hold nothing to the boundaries."""

EVERY_ENVIRONMENT = "all"
FOR_EACH = ("why", "check")
"""Commands that answer for each environment of a checkout with `--env all`."""

ANSWERS = ("why",)
"""Commands whose answer itself says what was not read and could have changed it."""

EVIDENCE_WINDOW_NS = 15 * 60 * NS_PER_S
"""How far back live flows are evidence: what Hubble's rings hold of a busy node."""


@dataclass(slots=True)
class Context:
    """One invocation."""

    args: argparse.Namespace
    out: Output
    environ: Mapping[str, str]
    stdin: TextIO
    _loaded: Loaded | None = field(default=None, init=False)

    @property
    def config(self) -> Loaded:
        """The settings and their origins, read once. Raises `ConfigError`."""
        if self._loaded is None:
            from app.config import load_settings

            named = self.args.config
            self._loaded = load_settings(self.environ, Path(named) if named else None)
        return self._loaded

    @property
    def asks_all(self) -> bool:
        """Whether every environment of a checkout is asked, one after the other."""
        return bool(self.args.env == EVERY_ENVIRONMENT)

    @property
    def sources(self) -> Sources:
        """Where data come from, as the options say. Raises `UsageError`."""
        from app.bootstrap.sources import Sources, parse_sets

        args = self.args
        return Sources(
            demo=args.demo,
            snapshots=collect(args, "snapshot"),
            flows=args.flows or "",
            replay=args.replay or "",
            record=args.record or "",
            redact=args.redact,
            sets=parse_sets(collect(args, "set")),
            env="" if self.asks_all else args.env or "",
            clusters=collect(args, "cluster"),
            rendered=collect(args, "rendered"),
            helm=HELM if args.helm is None else args.helm,
            cilium_version=args.cilium_version or "",
            kubeconfig=args.kubeconfig or "",
            context=args.context or "",
            hubble_address=args.hubble_address or "",
        )

    def load(
        self, *, flows: FlowRequest | None = None, strict: bool = True, boundaries: str = ""
    ) -> Workspace:
        """Read the objects, and with `flows` the recorded or kept flows too; notices are said.

        Without `strict` a source that fails is a state of the picture and no error. `boundaries` is
        a file of them to read instead of that of the settings.
        """
        return asyncio.run(self.read(flows=flows, strict=strict, boundaries=boundaries))

    async def read(
        self, *, flows: FlowRequest | None = None, strict: bool = True, boundaries: str = ""
    ) -> Workspace:
        """`load` for a command that has an event loop already.

        Flows that nobody named are evidence where they can be had, and never a reason to fail.
        """
        from app.bootstrap.workspace import build_workspace

        self._refuse_all()
        workspace = build_workspace(
            self.sources,
            self.config.settings,
            follow=False,
            flows=flows is not None,
            boundaries=boundaries,
            judged=self.args.command not in INVENTORIES,
        )
        async with self.patience("the cluster", live=self.sources.live_objects):
            await workspace.load(strict=strict)
        if flows is not None:
            await self._read_flows(workspace, flows, strict=strict)
        await workspace.close()
        if strict:
            self._say_failures(workspace.picture)
        self.say_notices(workspace.picture.notices)
        return workspace

    def _refuse_all(self) -> None:
        """Raise `UsageError` where only one environment can be answered for."""
        from app.core.errors import UsageError

        if self.asks_all and self.args.command not in FOR_EACH:
            raise UsageError(
                f"`{self.args.command}` is about one environment",
                hint=f"name one with --env; {' and '.join(FOR_EACH)} take --env all",
            )

    async def read_beside_flows(self, *, boundaries: str = "") -> Workspace:
        """`read` for a question about flows: recorded ones can be looked at without a cluster.

        What is missing of it is said; a cluster that was named must be there.
        """
        recorded = bool(self.args.flows or self.args.replay)
        named = bool(self.sources.kubeconfig or self.sources.context or self.sources.snapshots)
        if not recorded or named:
            return await self.read(boundaries=boundaries)
        workspace = await self.read(strict=False, boundaries=boundaries)
        self._say_failures(workspace.picture)
        return workspace

    async def _read_flows(self, workspace: Workspace, flows: FlowRequest, *, strict: bool) -> None:
        from app.bootstrap.flows import asks_relay
        from app.core.errors import SourceUnavailable

        args = self.args
        named = bool(args.flows or args.replay or args.hubble_address)
        try:
            async with self.patience("Hubble Relay", live=asks_relay(self.sources)):
                await workspace.load_flows(flows, strict=strict and named)
        except SourceUnavailable as error:
            if named:
                raise
            self.out.say(f"note: going on without {error.source}: {error.message}")

    @asynccontextmanager
    async def patience(self, name: str, *, live: bool) -> AsyncIterator[None]:
        """Wait for a live source: say so after a second, and give up when the limit is reached.

        Raises `SourceUnavailable` (TIMEOUT). Files take the time they take.
        """
        from app.core.errors import SourceCause, SourceUnavailable

        usual_s = WAIT_FOR_ALL_S if self.args.command in WHOLE else WAIT_S
        limit_s = self.args.timeout or usual_s
        if not live:
            yield
            return
        words = f"waiting for {name} (at most {limit_s:g} s, see --timeout)"
        talk = asyncio.get_running_loop().call_later(SILENT_S, self.out.say, words)
        try:
            async with asyncio.timeout(limit_s):
                yield
        except TimeoutError as error:
            raise SourceUnavailable(
                f"no answer within {limit_s:g} s",
                source=name,
                cause=SourceCause.TIMEOUT,
                hint="--timeout SECONDS waits longer; `k8tre-tui doctor` says what answers",
            ) from error
        finally:
            talk.cancel()

    @property
    def source_words(self) -> tuple[str, ...]:
        """The options that a command which asks the same files again needs as well."""
        sources = self.sources
        words = [word for path in sources.snapshots for word in ("--snapshot", path)]
        words += [word for pair in sources.sets.items() for word in ("--set", "=".join(pair))]
        words += ["--env", sources.env] if sources.env else []
        words += [word for name in sources.clusters for word in ("--cluster", name)]
        words += [word for path in sources.rendered for word in ("--rendered", path)]
        words += [] if sources.helm == HELM else ["--helm", sources.helm]
        return tuple(words)

    @property
    def recent_flows(self) -> FlowRequest:
        """The flows to look at for evidence: a recording whole, else what is recent."""
        from app.bootstrap.sources import SystemClock
        from app.ports import FlowRequest

        if self.args.flows or self.args.replay:
            return FlowRequest(follow=False)
        since_ns = SystemClock().now_ns() - EVIDENCE_WINDOW_NS
        return FlowRequest(follow=False, since_ns=since_ns)

    def flows_since(self, since: str, until: str = "") -> FlowRequest:
        """The flows of a time given in words; without words those that are evidence."""
        from dataclasses import replace

        from app.bootstrap.sources import SystemClock
        from app.services.moments import parse_moment

        now_ns, request = SystemClock().now_ns(), self.recent_flows
        if since:
            request = replace(request, since_ns=parse_moment(since, now_ns))
        if until:
            request = replace(request, until_ns=parse_moment(until, now_ns))
        return request

    def surroundings(self) -> Surroundings:
        """What `doctor` wants to know of the world around."""
        from app.bootstrap.sources import look_around

        return look_around(self.sources, self.config, self.environ)

    def _say_failures(self, picture: Picture) -> None:
        """What could not be read, where the command goes on without it."""
        for state in picture.sources.values():
            if state.is_broken:
                self.out.say(f"note: going on without {state.source}: {state.reason}")
            elif state.reason:
                self.out.say(f"note: {state.source}: {state.reason}")

    def say_notices(self, notices: Sequence[Notice]) -> None:
        """Each notice once, on stderr; what is merely good to know only where things are listed."""
        for notice in notices:
            if self.args.command in ANSWERS and notice.severity == UNREAD:
                continue  # the answer says what it could have changed
            if notice.severity != "info" or self.args.command in LISTS:
                mark = self.out.paint(f"{notice.severity}:", Style.WARN)
                self.out.say(f"{mark} {notice}")

    def check_scope(self, picture: Picture) -> None:
        """Raise `NotFound` when `-n` names a namespace that a picture read whole does not have."""
        from app.core.diagnose.ends import near_names
        from app.core.errors import NotFound

        known = sorted(picture.cluster.namespaces)
        for name in self.args.namespace or () if known and not picture.cluster.unread else ():
            if name not in known:
                hint = near_names(name, known, "namespaces")
                raise NotFound(f"no such namespace: `{name}`", hint=hint)

    def in_scope(self, namespace: str) -> bool:
        """Whether `-n` leaves the namespace in."""
        return not self.args.namespace or namespace in self.args.namespace

    def print_items(
        self,
        rows: Sequence[Row],
        form: Callable[[Row], dict[str, Any]],
        table: Callable[[Output, Sequence[Row]], None],
        notices: tuple[Notice, ...] = (),
    ) -> None:
        """A list in the form that `-o` names."""
        from app.services.contract import listing

        if self.args.output == "table":
            table(self.out, rows)
        elif self.args.output == "jsonl":
            self.out.jsonl(map(form, rows))
        else:
            self.print_documents([listing(map(form, rows), notices)])

    def print_documents(self, documents: Sequence[dict[str, Any]]) -> None:
        """One document, or several one after the other, as JSON or YAML."""
        for document in documents:
            if self.args.output == "yaml":
                self.out.yaml(document)
            elif self.args.output == "jsonl":
                self.out.jsonl([document])
            else:
                self.out.json(document)
