"""`insights`: how fast and how well connections work, and which rules and paths are used."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.options import add_namespace_options, add_output_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.core.model.flow import FlowBatch
    from app.services.picture import Picture

EXAMPLE = """  k8tre-tui insights performance --demo
  k8tre-tui insights performance --flows events.log.gz -n project-lung -o json
  k8tre-tui insights coverage --since 30d --days 30

performance: latency where flows show both ends of it, requests, errors; what was not measured is
`-`, never zero. coverage: what flows used of what policies allow, as far as the flows reach back"""

PERFORMANCE, COVERAGE = "performance", "coverage"
DEFAULT_DAYS = 14.0


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument("what", choices=(PERFORMANCE, COVERAGE), help="which of them")
    parser.add_argument("--since", default="", metavar="TIME", help="5m, 1h30m or a date")
    parser.add_argument("--until", default="", metavar="TIME", help="as --since")
    parser.add_argument(
        "--days",
        type=float,
        default=DEFAULT_DAYS,
        metavar="N",
        help="coverage: unused for so long makes a candidate to close (default: 14)",
    )
    add_namespace_options(parser)
    add_output_options(parser)


def run(context: Context) -> int:
    """Look at flows and say what they show."""
    if context.args.what == PERFORMANCE:
        return asyncio.run(_performance(context))
    return asyncio.run(_coverage(context))


async def _performance(context: Context) -> int:
    from app.cli.render.insights import performance_table
    from app.core.insights.party import Directory
    from app.core.insights.performance import Performance
    from app.services.insight_contract import performance_form

    picture = (await context.read_beside_flows()).picture
    measured = Performance(Directory(picture.cluster))
    lost = await _read(context, picture, lambda batch: measured.add(batch.flows))
    rows = [
        one
        for one in measured.pairs()
        if context.in_scope(one.source.namespace) or context.in_scope(one.destination.namespace)
    ]
    context.print_items(rows, performance_form, performance_table, picture.notices)
    context.out.say("throughput: not measured, Hubble's flows carry no byte counts")
    if lost:
        context.out.say(f"warning: {lost} events were lost, so counts are too low")
    return 0


async def _coverage(context: Context) -> int:
    from app.cli.render.insights import print_coverage
    from app.core.insights.party import Directory
    from app.services.coverage import Used, coverage
    from app.services.insight_contract import coverage_form

    picture = (await context.read_beside_flows()).picture
    used = Used(Directory(picture.cluster))
    await _read(context, picture, used.take)
    found = coverage(picture, used, days=context.args.days)
    if context.args.output == "table":
        print_coverage(context.out, found)
    else:
        context.print_documents([coverage_form(found)])
    return 0


async def _read(context: Context, picture: Picture, take: Callable[[FlowBatch], None]) -> int:
    """Give every flow to `take`; gives how many events were lost."""
    from app.bootstrap.flows import asks_relay, build_flow_sources, build_history
    from app.core.errors import UsageError
    from app.core.model.flow import FlowBatch
    from app.services.flows import observe

    context.check_scope(picture)
    settings = context.config.settings
    history = build_history(context.sources, settings)
    sources = build_flow_sources(context.sources, settings, follow=False, history=history)
    if not sources:
        raise UsageError(
            "there are no flows to look at", hint="add --flows FILE, or name a cluster"
        )
    request = context.flows_since(context.args.since, context.args.until)
    lost = 0
    try:
        async with context.patience("Hubble Relay", live=asks_relay(context.sources)):
            async for item in observe(sources, request):
                if isinstance(item, FlowBatch):
                    take(item)
                    lost += sum(one.count for one in item.lost) + item.dropped
                elif item.reason:
                    context.out.say(f"note: {item.source}: {item.reason}")
    finally:
        if history is not None:
            await history.close()
    return lost
