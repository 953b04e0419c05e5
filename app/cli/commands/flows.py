"""`flows`: what Hubble saw, with every filter flag of `hubble observe`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.cli.context import Context
from app.core.errors import UsageError
from app.core.flows.observe_flags import FLAGS, Flag, Given

if TYPE_CHECKING:
    from app.core.model.flow import Flow, FlowBatch, LostEvents, NodeStatus
    from app.ports import SourceState
    from app.services.flows import Selection

EXAMPLE = """  k8tre-tui flows -n project-lung --verdict DROPPED --last 50
  k8tre-tui flows -f --to-fqdn '*.pypi.org' --not --protocol dns
  k8tre-tui flows --flows events.log.gz --since 2h -o json | hubble observe --input-file -

a repeated flag is an alternative, different flags must all hold, --not turns the next one round"""

FORMATS = ("table", "json", "jsonl", "yaml")


class _Give(argparse.Action):
    """Collect filter flags in the order typed: `--not` belongs to the one after it."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        """Note one flag, or that the next one is turned round."""
        if option == "--not":
            namespace.negate = True
            return
        value = values if isinstance(values, str) else ""
        namespace.given = [*namespace.given, Given(self.dest, value, negated=namespace.negate)]
        namespace.negate = False


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.usage = "k8tre-tui flows [TERM ...] [option ...]"
    parser.add_argument(
        "terms",
        nargs="*",
        metavar="TERM",
        help="a filter in words, as: from:prj-a/jupyter* port:443 verdict:dropped !dns",
    )
    chosen = parser.add_argument_group("which flows")
    chosen.add_argument("--last", type=int, metavar="N", help="the last N (default 20, live)")
    chosen.add_argument("--first", type=int, metavar="N", help="the oldest N")
    chosen.add_argument("--all", action="store_true", help="everything there is")
    chosen.add_argument("--since", default="", metavar="TIME", help="5m, 1h30m or a date")
    chosen.add_argument("--until", default="", metavar="TIME", help="as --since")
    chosen.add_argument("-f", "--follow", action="store_true", help="go on with new ones")
    filters = parser.add_argument_group("filters, as of hubble observe")
    filters.add_argument("--not", action=_Give, nargs=0, help="turn the next filter round")
    for flag in FLAGS:
        _add_flag(filters, flag)
    for name, what in (("allowlist", "pass"), ("denylist", "do not pass")):
        filters.add_argument(
            f"--{name}", action="append", default=[], metavar="JSON", help=f"raw filter: {what}"
        )
    parser.set_defaults(given=[], negate=False)
    shown = parser.add_argument_group("output")
    shown.add_argument("-o", "--output", choices=FORMATS, default="table", help="default: table")


def _add_flag(group: Any, flag: Flag) -> None:
    names = [f"--{flag.name}", *([f"-{flag.short}"] if flag.short else [])]
    words = flag.help.replace("%", "%%")
    if flag.metavar:
        group.add_argument(*names, dest=flag.name, action=_Give, metavar=flag.metavar, help=words)
    else:
        group.add_argument(*names, dest=flag.name, action=_Give, nargs=0, help=words)


def run(context: Context) -> int:
    """Print flows until the source ends; losses and unreadable lines are said on stderr."""
    from app.services.flows import Selection

    args = context.args
    chosen = Selection(
        text=" ".join(args.terms),
        given=args.given,
        allow=args.allowlist,
        deny=args.denylist,
        last=args.last,
        first=args.first,
        everything=args.all,
        since=args.since,
        until=args.until,
        follow=args.follow,
    )
    asyncio.run(_print(context, chosen))
    return 0


async def _print(context: Context, chosen: Selection) -> None:
    from app.bootstrap.flows import asks_relay, build_flow_sources, build_history
    from app.bootstrap.sources import SystemClock
    from app.core.flows.filters import parse_filter
    from app.services.flows import make_request, observe

    now_ns = SystemClock().now_ns()
    words = parse_filter(chosen.text, now_ns=now_ns)
    request = make_request(chosen, now_ns, recorded=bool(context.sources.flows))
    settings = context.config.settings
    history = build_history(context.sources, settings)
    sources = build_flow_sources(context.sources, settings, follow=chosen.follow, history=history)
    if not sources:
        context.out.say("a snapshot has no flows: add --flows FILE, or name a cluster")
        return
    printer = _Printer(context)
    matches = None if words.is_empty else words.matches
    try:
        live = asks_relay(context.sources) and not chosen.follow
        async with context.patience("Hubble Relay", live=live):
            async for item in observe(sources, request, matches=matches, first=chosen.first):
                printer.take(item)
    finally:
        if history is not None:
            await history.close()
            if failure := (await history.span()).failure:
                context.out.say(f"note: not all flows are kept on disk: {failure}")
    printer.finish()


class _Printer:
    """Writes each batch in the form asked for, and counts what never came."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._write = self._writer(context.args.output)
        self._shown = 0
        self._said: set[str] = set()
        self._lost = 0
        self._unreadable = 0
        self._unknown: dict[str, int] = {}

    def take(self, item: FlowBatch | SourceState) -> None:
        from app.core.model.flow import FlowBatch

        if not isinstance(item, FlowBatch):
            words = f"{item.source}: {item.phase}: {item.reason}"
            if (item.is_broken or item.reason) and words not in self._said:
                self._said.add(words)
                self._context.out.say(words)
            return
        for flow in item.flows:
            self._write(flow)
            self._shown += 1
        for lost in item.lost:
            self._lost += lost.count
            self._write(lost)
        for status in item.statuses:
            self._write(status)
        self._unreadable += item.unreadable
        for name, count in item.unknown.items():
            self._unknown[name] = self._unknown.get(name, 0) + count
        if self._context.args.follow:
            self._context.out.stdout.flush()

    def finish(self) -> None:
        say = self._context.out.say
        if not self._shown:
            say("no flow matches" if self._context.args.given else "no flows")
        if self._lost:
            say(f"warning: {self._lost} events were lost before they could be read")
        if self._unreadable:
            say(f"warning: {self._unreadable} lines could not be read as flows")
        for name, count in sorted(self._unknown.items()):
            say(f"warning: {count} times something unknown: {name}")

    def _writer(self, form: str) -> Callable[[Flow | LostEvents | NodeStatus], None]:
        from app.bootstrap.flows import flow_redaction
        from app.core.flows.encode import encode, encode_line
        from app.core.model.flow import Flow

        out = self._context.out
        redact = flow_redaction(self._context.sources)
        if redact is not None and form == "table":
            raise UsageError("stand-ins are for -o json, jsonl or yaml", hint="add -o jsonl")
        if redact is not None and form != "yaml":
            return lambda item: out.jsonl([redact(encode(item))])
        if form in ("json", "jsonl"):
            return lambda item: out.line(encode_line(item).decode())
        if form == "yaml":
            return lambda item: out.yaml([redact(encode(item)) if redact else encode(item)])
        from app.cli.render.flows import HEAD, flow_line

        def write(item: Flow | LostEvents | NodeStatus) -> None:
            if isinstance(item, Flow):
                if not self._shown:
                    out.line(HEAD)
                out.line(flow_line(out, item, dates=False))

        return write
