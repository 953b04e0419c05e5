"""`alerts`: refused connections with their cause, and patterns that are not usual."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.options import add_namespace_options, add_output_options, add_paging_options
from app.core.insights.alert import AlertSeverity, AlertState

if TYPE_CHECKING:
    from app.core.insights.alert import Alert, Alerts
    from app.ports import FlowRequest
    from app.services.insights import AlertBook
    from app.services.paging import Paging
    from app.services.picture import Picture

EXAMPLE = """  k8tre-tui alerts --demo
  k8tre-tui alerts --snapshot ./gitops --flows events.log.gz --severity medium -o jsonl
  k8tre-tui alerts -f --since 1h --alertmanager http://alertmanager.monitoring:9093

a block is isolation (nothing was meant to allow it), a fault (a rule was, and does not match), or
no policy's; exit code 1 when something of severity --fail-on or worse has not ended"""

NEVER = "never"
SEVERITIES = tuple(one.value for one in AlertSeverity)
EVERY_S = 1.0
"""Seconds from one look at the alerts to the next, when they are followed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument("-f", "--follow", action="store_true", help="go on: a line for each change")
    parser.add_argument(
        "--since", default="", metavar="TIME", help="5m, 1h30m or a date (default: 15m, live)"
    )
    parser.add_argument("--until", default="", metavar="TIME", help="as --since")
    parser.add_argument(
        "--severity",
        choices=SEVERITIES,
        default=AlertSeverity.EXPECTED.value,
        help="show from which severity on (default: expected, which is all)",
    )
    parser.add_argument(
        "--kind",
        action="append",
        default=[],
        metavar="KIND",
        help="only this kind; may be repeated",
    )
    parser.add_argument(
        "--fail-on",
        choices=(*SEVERITIES, NEVER),
        default=AlertSeverity.HIGH.value,
        help="the mildest severity that makes the exit code 1 (default: high)",
    )
    add_paging_options(parser)
    add_namespace_options(parser)
    add_output_options(parser)


def run(context: Context) -> int:
    """Look at flows, say what they show, and whether something of it is severe."""
    from app.core.errors import UsageError

    args = context.args
    if args.follow and args.output not in ("table", "jsonl"):
        raise UsageError("what is followed is printed line by line", hint="-f -o table|jsonl")
    return asyncio.run(_follow(context) if args.follow else _once(context))


async def _once(context: Context) -> int:
    from app.services.insights import AlertBook

    picture = (await context.read_beside_flows()).picture
    context.check_scope(picture)
    book = AlertBook()
    book.know(picture)
    request = context.flows_since(context.args.since, context.args.until)
    await _read(context, book, request)
    alerts = book.alerts(picture, 0 if _is_recorded(context) else request.until_ns or _now_ns())
    _print(context, alerts, picture)
    if (paging := paging_of(context)) is not None:
        await _notify(context, paging, alerts)
    return _code(context, alerts)


async def _read(context: Context, book: AlertBook, request: FlowRequest) -> None:
    """Every flow of every source, each looked at once; none is kept."""
    from app.bootstrap.flows import asks_relay, build_flow_sources, build_history
    from app.core.errors import UsageError
    from app.core.model.flow import FlowBatch
    from app.services.flows import observe

    settings = context.config.settings
    history = build_history(context.sources, settings)
    sources = build_flow_sources(context.sources, settings, follow=False, history=history)
    if not sources:
        raise UsageError(
            "there are no flows to look at", hint="add --flows FILE, or name a cluster"
        )
    unreadable = 0
    try:
        async with context.patience("Hubble Relay", live=asks_relay(context.sources)):
            async for item in observe(sources, request):
                if isinstance(item, FlowBatch):
                    book.take(item)
                    unreadable += item.unreadable
                elif item.reason:
                    context.out.say(f"note: {item.source}: {item.reason}")
    finally:
        if history is not None:
            await history.close()
    if unreadable:
        context.out.say(f"warning: {unreadable} lines could not be read as flows")


async def _follow(context: Context) -> int:
    from app.bootstrap.workspace import build_workspace
    from app.services.insights import AlertBook, Changes
    from app.services.tasks import Tasks

    workspace = build_workspace(context.sources, context.config.settings)
    await workspace.load()
    book, changes, paging = AlertBook(), Changes(), paging_of(context)
    worst = 0
    async with Tasks(workspace.report) as tasks:
        running = tasks.start("workspace", workspace.run())
        while not running.done():
            picture = workspace.picture
            book.know(picture)
            book.follow(workspace.ring)
            alerts = book.alerts(picture, _now_ns())
            told = list(changes.of(alerts))
            _tell(context, alerts, _chosen(context, told))
            if paging is not None:
                await _notify(context, paging, alerts)
            worst = max(worst, _code(context, alerts))
            await asyncio.sleep(EVERY_S)
    return worst


def paging_of(context: Context) -> Paging | None:
    """Who is told besides; None where nobody is asked for. Raises `UsageError`."""
    from app.bootstrap.paging import build_pagers
    from app.core.errors import UsageError
    from app.services.paging import Paging

    args, settings = context.args, context.config.settings
    if not (args.notify or args.alertmanager or args.webhook):
        return None
    pagers = build_pagers(settings, alertmanager=args.alertmanager, webhook=args.webhook)
    if not pagers:
        raise UsageError(
            "--notify, and the settings name nobody", hint="alerts.alertmanager or alerts.webhook"
        )
    return Paging(pagers, AlertSeverity(settings.alerts.severity))


async def _notify(context: Context, paging: Paging, alerts: Alerts) -> None:
    chosen = replace(alerts, items=tuple(_chosen(context, alerts.items)))
    for trouble in await paging.tell(chosen, _now_ns()):
        context.out.say(f"warning: {trouble}")


def _tell(context: Context, alerts: Alerts, items: Iterable[Alert]) -> None:
    from app.cli.render.alerts import print_alert
    from app.services.insight_contract import alert_form

    for one in items:
        if context.args.output == "table":
            print_alert(context.out, one)
        else:
            context.out.jsonl([alert_form(one, alerts)])
    context.out.stdout.flush()


def _print(context: Context, alerts: Alerts, picture: Picture) -> None:
    from app.cli.render.alerts import print_alerts
    from app.services.insight_contract import alert_form, alerts_form

    chosen = list(_chosen(context, alerts.items))
    if context.args.output == "table":
        print_alerts(context.out, alerts, chosen)
    elif context.args.output == "jsonl":
        context.out.jsonl(alert_form(one, alerts) for one in chosen)
    else:
        context.print_documents([alerts_form(alerts, chosen, picture.notices)])


def _chosen(context: Context, items: Iterable[Alert]) -> Iterable[Alert]:
    args = context.args
    rank = AlertSeverity(args.severity).rank
    for one in items:
        here = context.in_scope(one.source_namespace) or context.in_scope(one.destination_namespace)
        if one.severity.rank <= rank and here and (not args.kind or one.kind in args.kind):
            yield one


def _code(context: Context, alerts: Alerts) -> int:
    if context.args.fail_on == NEVER:
        return 0
    rank = AlertSeverity(context.args.fail_on).rank
    going_on = (one for one in _chosen(context, alerts.items) if one.state is not AlertState.ENDED)
    return int(any(one.severity.rank <= rank for one in going_on))


def _is_recorded(context: Context) -> bool:
    return bool(context.args.flows or context.args.replay)


def _now_ns() -> int:
    from app.bootstrap.sources import SystemClock

    return SystemClock().now_ns()
