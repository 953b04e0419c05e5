"""`evidence`: the paper that a TRE shows its auditors."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.core.errors import UsageError

if TYPE_CHECKING:
    from app.ports import FlowHistory
    from app.services.evidence import Keeping, Materials, Usage
    from app.services.insights import AlertBook
    from app.services.workspace import Workspace

EXAMPLE = """  k8tre-tui evidence -o evidence/ --snapshot ./gitops --flows events.log.gz
  k8tre-tui evidence -o evidence/ --since 24h --signed-by ~/.ssh/id_ed25519
  k8tre-tui evidence diff evidence-march/ evidence-april/

writes index.html (one file, no script), evidence.md, evidence.json and SHA256SUMS; the same inputs
give the same bytes; exit code 1 when a statement does not hold, 3 when one could not be shown"""

UNSHOWN = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.usage = "k8tre-tui evidence -o DIR [option ...] | evidence diff BEFORE AFTER"
    parser.add_argument("words", nargs="*", metavar="diff BEFORE AFTER", help="compare two packs")
    parser.add_argument("-o", "--output", default="", metavar="DIR", help="where to write the pack")
    parser.add_argument(
        "--since", default="", metavar="TIME", help="flows from then on: 24h or a date"
    )
    parser.add_argument(
        "--boundaries", default="", metavar="FILE", help="TOML; default: check.boundaries"
    )
    parser.add_argument(
        "--signed-by", default="", metavar="KEY", help="sign with a key of minisign or SSH"
    )


def run(context: Context) -> int:
    """Write a pack and say how the statements stand, or compare two."""
    words = context.args.words
    if words:
        return _diff(context, words)
    if not context.args.output:
        raise UsageError("where is the pack to go?", hint="evidence -o DIR")
    return asyncio.run(_write(context))


def _diff(context: Context, words: list[str]) -> int:
    from app.bootstrap.evidence import read_pack
    from app.cli.render.evidence import print_difference
    from app.services.evidence_diff import compare

    if words[0] != "diff" or len(words) != 3:  # noqa: PLR2004  # the word and two packs
        raise UsageError("two packs are compared", hint="evidence diff BEFORE AFTER")
    difference = compare(read_pack(words[1]), read_pack(words[2]))
    print_difference(context.out, difference)
    return 1 if difference["worse"] else 0


async def _write(context: Context) -> int:
    from app.bootstrap.evidence import write_pack
    from app.cli.render.evidence import print_pack
    from app.core.insights.claims import Standing
    from app.services.evidence import make_pack, standings

    args = context.args
    pack = make_pack(await _materials(context))
    written = write_pack(pack, Path(args.output), key=args.signed_by)
    print_pack(context.out, pack, [str(path) for path in written])
    found = set(standings(pack).values())
    if Standing.FAILS in found:
        return 1
    return UNSHOWN if Standing.NOT_SHOWN in found else 0


async def _materials(context: Context) -> Materials:
    from app.bootstrap.evidence import hash_files
    from app.cli.version import version
    from app.core.flows.times import format_time
    from app.services.evidence import Materials, Usage
    from app.services.insights import AlertBook
    from app.services.lint import LintRequest, lint_picture

    workspace = await context.read_beside_flows(boundaries=context.args.boundaries)
    picture = workspace.picture
    live = context.sources.live_objects
    if not live:  # when files were read is no property of what they say
        picture = replace(picture, as_of_ns=0)
    book, usage = AlertBook(), Usage()
    book.know(picture)
    keeping = await _read_flows(context, book, usage)
    request = LintRequest(ignored=context.config.settings.lint, whole=True)
    return Materials(
        picture=picture,
        manifests=workspace.manifests(),
        settings=workspace.settings,
        lint=lint_picture(picture, workspace.manifests(), request=request),
        alerts=book.alerts(picture),
        usage=usage,
        keeping=keeping,
        files=hash_files(_file_names(context, workspace)),
        source=context.sources.title,
        version=version(),
        as_of=format_time(picture.as_of_ns) if live and picture.as_of_ns else "",
    )


def _file_names(context: Context, workspace: Workspace) -> set[str]:
    """The files that were read, as far as they lie on disk."""
    names = {one.file for one in workspace.manifests() if one.file}
    names |= {one.file for one in workspace.picture.boundaries if one.file}
    names |= {name for name in (context.sources.flows, context.sources.replay) if name}
    return {name for name in names if name != "-" and Path(name).is_file()}


async def _read_flows(context: Context, book: AlertBook, usage: Usage) -> Keeping | None:
    """Every flow there is, each looked at once; and what the history says of itself."""
    from app.bootstrap.flows import asks_relay, build_flow_sources, build_history
    from app.core.model.flow import FlowBatch
    from app.services.flows import observe

    sources, settings = context.sources, context.config.settings
    history = build_history(sources, settings)
    found = build_flow_sources(sources, settings, follow=False, history=history)
    try:
        async with context.patience("Hubble Relay", live=asks_relay(sources)):
            async for item in observe(found, context.flows_since(context.args.since)):
                if isinstance(item, FlowBatch):
                    book.take(item)
                    usage.take(item)
        return await _keeping(context, history)
    finally:
        if history is not None:
            await history.close()


async def _keeping(context: Context, history: FlowHistory | None) -> Keeping | None:
    from app.services.evidence import Keeping

    if history is None:
        return None
    span, flows = await history.span(), context.config.settings.flows
    return Keeping(
        where="ClickHouse" if flows.clickhouse else "SQLite on this machine",
        days=flows.history_days,
        oldest_ns=span.oldest_ns,
        newest_ns=span.newest_ns,
        flows=span.flows,
        dropped=span.dropped,
        failure=span.failure,
    )
