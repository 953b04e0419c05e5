"""Options that every command takes, and the words they may be written before or after.

The top parser and every command declare the same options. argparse lets the command's defaults
overwrite what stood before the command, so those of a command have no default, and lists given in
both places are joined by `Merge`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

LONGEST_WAIT_S = 86_400
FORMATS = ("table", "json", "jsonl", "yaml")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMS = ("text", "json")


class Merge(argparse.Action):
    """Append to a list that is shared by the options before and after the command."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        _option: str | None = None,
    ) -> None:
        """Collect under a name of the parser's own; `collect` joins both."""
        own = f"{self.dest}:{parser.prog.count(' ')}"
        setattr(namespace, own, [*getattr(namespace, own, []), values])


def collect(args: argparse.Namespace, name: str) -> tuple[Any, ...]:
    """Every value of a `Merge` option, in the order written."""
    return tuple(value for depth in range(3) for value in getattr(args, f"{name}:{depth}", ()))


def _seconds(text: str) -> float:
    """A number of seconds above zero. Raises `ArgumentTypeError`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_WAIT_S:
        raise argparse.ArgumentTypeError(f"`{text}` is no number of seconds up to {LONGEST_WAIT_S}")
    return seconds


def add_source_options(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """What every command takes: where data come from (docs/forms.md §2), settings, colour."""
    group = parser.add_argument_group("where data come from (default: the live cluster)")
    off: Any = None if top else argparse.SUPPRESS
    group.add_argument(
        "--demo",
        action="store_true",
        default=False if top else argparse.SUPPRESS,
        help="the embedded demo cluster: no network, no other option",
    )
    group.add_argument(
        "--snapshot",
        action=Merge,
        metavar="PATH",
        help="Kubernetes objects from a file or a directory tree; may be repeated",
    )
    group.add_argument(
        "--flows", default=off, metavar="PATH", help="flows as Hubble writes them; - is stdin"
    )
    group.add_argument(
        "--replay", default=off, metavar="FILE", help="a recording of flows, with its timing"
    )
    group.add_argument(
        "--record", default=off, metavar="FILE", help="also write all flows to FILE, for --replay"
    )
    group.add_argument(
        "--redact",
        action="store_true",
        default=False if top else argparse.SUPPRESS,
        help="stand-ins in what --record, snapshot and flows -o json write",
    )
    _add_checkout_options(group, off)
    group.add_argument(
        "--cilium-version", default=off, metavar="V", help="whose semantics to apply, as 1.19.3"
    )
    group.add_argument("--kubeconfig", default=off, metavar="FILE", help="kubeconfig to use")
    group.add_argument("--context", default=off, metavar="NAME", help="context of the kubeconfig")
    group.add_argument(
        "--hubble-address", default=off, metavar="HOST:PORT", help="Hubble Relay, reached directly"
    )
    group.add_argument(
        "--timeout",
        default=off,
        type=_seconds,
        metavar="SECONDS",
        help="how long a live source may take for one question (default: 10; snapshot 120)",
    )
    group.add_argument(
        "--no-color",
        action="store_true",
        default=False if top else argparse.SUPPRESS,
        help="no colour, as NO_COLOR=1",
    )
    group.add_argument("--config", default=off, metavar="FILE", help="settings file to use")


def _add_checkout_options(group: argparse._ArgumentGroup, off: Any) -> None:
    group.add_argument(
        "--set",
        action=Merge,
        metavar="NAME=VALUE",
        help="value of a ${NAME} placeholder in manifests; may be repeated",
    )
    group.add_argument(
        "--env",
        default=off,
        metavar="NAME",
        help="which environment of a checkout, as its folders are called (dev, prd); `why` and "
        "`check` take all",
    )
    with suppress(argparse.ArgumentError):  # `flows` has Hubble's filter of this name
        group.add_argument(
            "--cluster",
            action=Merge,
            metavar="NAME",
            help="which cluster of a checkout, where it deploys to several; may be repeated",
        )
    group.add_argument(
        "--rendered",
        action=Merge,
        metavar="PATH",
        help="what `helm template` and its like have printed; may be repeated",
    )
    group.add_argument(
        "--helm",
        default=off,
        metavar="PROGRAM",
        help="what renders charts that lie in a checkout (default: helm, if it is installed)",
    )


def add_log_options(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """Where the log goes; `app.bootstrap.log` says what is in it."""
    group = parser.add_argument_group("log (default: none; the bot: JSON on standard error)")
    off: Any = "" if top else argparse.SUPPRESS
    group.add_argument(
        "--log-file", default=off, metavar="FILE", help="write a log; - is stderr (K8TRE_TUI_LOG)"
    )
    group.add_argument(
        "--log-level", default=off, choices=LOG_LEVELS, help="from which level (default: info)"
    )
    group.add_argument(
        "--log-format", default=off, choices=LOG_FORMS, help="key=value or JSON (default: text)"
    )


def add_output_options(parser: argparse.ArgumentParser, formats: Sequence[str] = FORMATS) -> None:
    """`-o`; the first of `formats` is the default."""
    parser.add_argument(
        "-o",
        "--output",
        choices=formats,
        default=formats[0],
        help=f"form of the output (default: {formats[0]})",
    )


def add_paging_options(parser: argparse.ArgumentParser) -> None:
    """Whom to tell of alerts besides."""
    group = parser.add_argument_group("whom else to tell (with [alerts] of the settings: --notify)")
    group.add_argument("--notify", action="store_true", help="tell those whom the settings name")
    group.add_argument(
        "--alertmanager", default="", metavar="URL", help="a Prometheus Alertmanager"
    )
    group.add_argument("--webhook", default="", metavar="URL", help="an address that takes JSON")


def add_namespace_options(parser: argparse.ArgumentParser) -> None:
    """`-n` and `-A`; all namespaces is the default."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "-n",
        "--namespace",
        action="append",
        default=[],
        metavar="NS",
        help="only this namespace; may be repeated",
    )
    group.add_argument(
        "-A", "--all-namespaces", action="store_true", help="all namespaces (the default)"
    )
