"""The palette (ctrl+p): every command, every key's action, every policy and endpoint by name.

Textual reads strings given to a hit as markup, so what is shown is always `Content`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from textual.app import App
from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from app.core.text import clean
from app.services.inventory import policy_rows
from app.tui.places import COMMANDS, Place, parse_command
from app.tui.screens.frame import Frame
from app.tui.themes import THEMES
from app.tui.views.policies import policy_key
from app.tui.views.words import ref_text
from widgets.sturdy import Sturdy

MOST_HITS = 50
"""Things of the cluster offered at once."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A line of the palette."""

    text: str
    help: str
    run: Callable[[], None]


def fixed_offers(frame: Frame) -> Iterator[Offer]:
    """Commands that need no argument, themes, and this screen's actions."""
    for command in COMMANDS:
        if not command.takes or (command.takes[0] == "namespace" and command.name != "ns"):
            place = parse_command(command.name)
            yield Offer(f":{command.name}", command.help, partial(frame.go, place))
    for theme in THEMES:
        yield Offer(
            f":theme {theme}", "Change colours", partial(frame.go, Place("theme", (theme,)))
        )
    for action in frame.actions():
        if action.group or action.scope.value == "moving":
            continue
        run = partial(frame.action_run, action.id)
        yield Offer(f"{action.help} <{action.keys[0]}>", action.scope.value, run)


def cluster_offers(frame: Frame) -> Iterator[Offer]:
    """Every policy, endpoint and namespace."""
    picture = frame.session.picture
    for row in policy_rows(picture):
        place = Place("policy", ("summary",), subject=policy_key(row))
        yield Offer(ref_text(row.ref), "policy", partial(frame.go, place))
    for endpoint in picture.cluster.endpoints:
        place = Place("endpoint", (endpoint.key,))
        yield Offer(endpoint.key, "endpoint", partial(frame.go, place))
        why = Place("why", (f"pod:{endpoint.key}",))
        yield Offer(f"why is {endpoint.key} blocked", "ask", partial(frame.go, why))
    for name in sorted(picture.cluster.namespaces):
        place = Place("ns", (name,))
        yield Offer(f":ns {name}", "namespace", partial(frame.go, place))


def context_offers(frame: Frame) -> Iterator[Offer]:
    """Every cluster of the kubeconfig, written as behind a command: `@` finds nothing else."""
    for name in frame.session.contexts.names():
        yield Offer(f"@{name}", "context", partial(frame.go, Place("ctx", (name,))))


class Palette(Sturdy, CommandPalette):
    """Textual's palette, which pages through a list that is not drawn yet with an error."""

    def _action_command_list(self, action: str) -> None:
        found = self.query_one(CommandList)
        if found.option_count and found.scrollable_content_region:
            super()._action_command_list(action)


def open_palette(app: App[Any]) -> None:
    """Open the palette over a screen, unless it is open."""
    if not CommandPalette.is_open(app):
        app.push_screen(Palette(id="--command-palette"))


class PaletteProvider(Provider):
    """Finds in what the frame under the palette offers."""

    @property
    def frame(self) -> Frame | None:
        """The screen the palette was opened from."""
        return self.screen if isinstance(self.screen, Frame) else None

    async def discover(self) -> Hits:
        """Show commands and actions before anything is typed."""
        if (frame := self.frame) is None:
            return
        for offer in fixed_offers(frame):
            yield DiscoveryHit(_content(offer), offer.run, text=offer.text)

    async def search(self, query: str) -> Hits:
        """Find by fuzzy match."""
        if (frame := self.frame) is None:
            return
        matcher = self.matcher(query)
        found = 0
        for offer in (*fixed_offers(frame), *context_offers(frame), *cluster_offers(frame)):
            if (score := matcher.match(offer.text)) > 0:
                yield Hit(score, _content(offer), offer.run, text=clean(offer.text))
                found += 1
            if found >= MOST_HITS:
                return


def _content(offer: Offer) -> Content:
    return Content.assemble(clean(offer.text), "  ", (clean(offer.help), "dim"))
