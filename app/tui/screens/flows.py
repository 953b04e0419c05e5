"""Live flows: every flow as it comes, or one line per connection, through a filter."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar
from weakref import ReferenceType, ref

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from app.core.errors import UsageError
from app.core.flows.filters import Filter, parse_filter
from app.core.flows.grouping import Connections, ObservedConnection
from app.core.flows.halves import Packet
from app.core.flows.ring import Predicate
from app.core.flows.terms import KEYS
from app.core.model.cluster import Namespace
from app.core.model.flow import Flow
from app.services.picture import Picture
from app.services.wording import counted
from app.tui.actions import Need, Scope, bindings
from app.tui.causes import Causes
from app.tui.feed import FlowFeed, FlowRows
from app.tui.links import place_of
from app.tui.places import ALL, Place
from app.tui.screens.flow_actions import FlowActions
from app.tui.session import Session
from app.tui.sought import complete_key
from app.tui.times import span_of
from app.tui.views import flows as views
from app.tui.views.chips import make_chips
from app.tui.views.groups import BY_COUNT, GROW_DOWN, connection_rows
from app.tui.views.groups import COLUMNS as GROUP_COLUMNS
from app.tui.views.words import empty
from widgets.document import Document, paragraph
from widgets.frame import StatusView
from widgets.grid import Grid, sort_rows
from widgets.spans import Line, Span, Tone
from widgets.stream import Stream

if TYPE_CHECKING:
    from app.services.sheets import Sheet

WINDOWS_S = (None, None, 60, 300, 900, 1800, 3600)
"""What the digits 0 to 6 show: 0 and 1 everything kept, then the last seconds."""
WINDOWS = ("newest", "oldest", *(span_of(seconds) for seconds in WINDOWS_S if seconds))
"""The same in words."""
REGROUP_S = 1.0
"""Seconds between two countings of groups."""
QUIET_S = 2.0
"""Seconds after a step of the cursor in which groups keep their order."""


@dataclass(frozen=True, slots=True)
class FlowsMemo:
    """How flows were left. The feed is kept by the session, for a while."""

    feed: ReferenceType[FlowFeed]
    window: int
    is_aged: bool
    sort: tuple[int, bool]
    is_grouped: bool
    is_unfolded: bool
    is_following: bool
    key: Hashable
    top: int
    wide: bool


class Flows(FlowActions):
    """The ring of flows. `args` may hold `faults`."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.FLOWS,)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.FLOWS)]
    DEFAULT_CSS = """
    Flows {
        #main, #groups { width: 3fr; }
        #groups { display: none; }
        &.-grouped #groups { display: block; }
        &.-grouped #main { display: none; }
        #detail { width: 1fr; min-width: 36; max-width: 52; border-left: vkey $panel; }
        #detail { display: none; }
        &.-roomy #detail { display: block; }
        &.-detail #detail { display: block; }
        &.-no-detail #detail { display: none; }
    }
    """

    def __init__(self, session: Session, place: Place) -> None:
        super().__init__(session, place)
        self._faults = "faults" in place.args
        self._window = 0
        self._causes = Causes(session)
        self._look = views.FlowLook(session.marks, session.zone, cause=self._causes.cell)
        self._feed = FlowFeed(session.workspace.ring, self._cells, len(views.COLUMNS))
        self._filter: Filter | None = None
        self._grouped = False
        self._sort = BY_COUNT
        self._groups: list[ObservedConnection] = []
        self._counted_at = 0.0
        self._stepped_at = 0.0
        self._detailed: Flow | None = None
        self._shown = 0
        self._folded = 0
        self._namespace = session.namespace
        self._namespaces: Mapping[str, Namespace] = {}

    def _cells(self, packet: Packet) -> tuple[Line, ...]:
        return views.packet_cells(packet, self._look)

    def compose_body(self) -> ComposeResult:
        """Lay out stream, groups and detail."""
        marks = self.session.marks
        with Horizontal(id="body"):
            yield Stream(views.COLUMNS, marks=marks, id="main")
            yield Grid(GROUP_COLUMNS, marks=marks, id="groups")
            yield Document(cursor=False, id="detail")

    def begin(self) -> None:
        """Filter as the place says, as far as that can be read."""
        self._take_chips()
        try:
            self._parse(self.filter_text)
        except UsageError as error:
            self.filter_text = ""
            self.say(f"{error}; nothing is filtered", bad=True)
        memo = self.place.cursor if isinstance(self.place.cursor, FlowsMemo) else None
        feed = memo.feed() if memo else None
        if feed is not None and feed.ring is self.session.workspace.ring:
            self._feed = feed
            self._filter, self._namespace = self._parse(self.filter_text), self.session.namespace
            feed.drawn_by(self._cells)
            feed.update()
        else:
            self._feed.unfolded = memo is not None and memo.is_unfolded
            self._feed.window(WINDOWS_S[memo.window if memo else 0], self.session.clock.now_ns())
            self._refilter()
        if memo is not None:
            self._restore(memo)
        self._redraw()

    def _restore(self, memo: FlowsMemo) -> None:
        self._sort, self._window = memo.sort, memo.window
        if memo.is_aged:
            self._look = replace(self._look, age_at=self.session.clock.now_ns())
        if not memo.is_following:
            self.stream.stand()
            self._feed.stop(self.session.clock.now_ns())
        self._show_grouped(grouped=memo.is_grouped)
        self.main.set_wide(wide=memo.wide)
        if memo.is_grouped or not memo.is_following:
            self.call_after_refresh(self.main.return_to, memo.key, memo.top)

    @property
    def stream(self) -> Stream:
        """The stream."""
        return self.query_one("#main", Stream)

    @property
    def table(self) -> Grid:
        """The table of groups."""
        return self.query_one("#groups", Grid)

    # Drawing

    def show_picture(self, picture: Picture) -> None:
        """A new picture changes no flow, but the namespace may be another, or its chip."""
        del picture
        self._take_chips()
        if self.session.namespace != self._namespace:
            self._refilter()
            self._redraw()

    def _take_chips(self) -> None:
        namespaces = self.session.picture.cluster.namespaces
        if namespaces != self._namespaces:
            self._namespaces = namespaces
            self._look = replace(self._look, chips=make_chips(namespaces))
            self.stream.forget()
            self.table.forget()

    def tick(self) -> None:
        """Look at what came and draw it."""
        added = self._feed.update()
        if self._causes.work() or self._feed.folded != self._folded:
            self._folded = self._feed.folded
            self.main.forget()
        now = self.session.clock.monotonic()
        if self._grouped:
            if now - self._counted_at >= REGROUP_S and now - self._stepped_at >= QUIET_S:
                self.show_groups()
        elif added and not self._feed.is_still:
            self.show_flows()
        elif self._moves_with_time and now - self._counted_at >= REGROUP_S:
            self._counted_at = now
            self.show_flows()
        if self._detailed is not self.flow:
            self.show_detail()
        if added:
            self.draw_frame()

    @property
    def _moves_with_time(self) -> bool:
        return WINDOWS_S[self._window] is not None or self._look.age_at is not None

    def rows(self) -> FlowRows:
        """Give the flows as they are to be shown now."""
        return self._feed.rows(self.session.clock.now_ns())

    def show_flows(self) -> None:
        """Draw the stream."""
        rows = self.rows()
        if self._look.age_at is not None:
            self._look = replace(self._look, age_at=self.session.clock.now_ns())
            self.stream.forget()
        self._shown = len(rows)
        self.stream.show_stream(rows, empty=() if len(rows) else self._why_empty())

    def show_groups(self) -> None:
        """Count connections and draw them."""
        self._counted_at = self.session.clock.monotonic()
        rows = self.rows()
        self._groups = Connections(rows.flows()).ranked()
        self._shown = len(rows)
        column, descending = self._sort
        self.table.show(
            sort_rows(connection_rows(self._groups, self._look), column, descending=descending),
            empty=() if self._groups else self._why_empty(),
            sorted_by=(GROUP_COLUMNS[column].key, descending),
        )

    def show_detail(self) -> None:
        """Draw the pane beside the flows."""
        pane = self.query_one("#detail", Document)
        if not pane.display:
            return
        flow = self._detailed = self.flow
        pane.show(
            views.describe(flow, self._look) if flow else (paragraph("no flow"),), keep_place=False
        )

    def _why_empty(self) -> tuple[Line, ...]:
        ring = self.session.workspace.ring
        if ring.seen and (self.filter_text or self._faults or self.session.namespace):
            return empty(
                f"None of the {len(ring):,} flows kept fits.",
                "`esc` clears the filter, `:flows all` shows all namespaces.",
            )
        if ring.seen:
            return empty("No flow in this window.", "`0` shows everything kept.")
        return views.nothing_came(has_source=self.session.workspace.expects_flows)

    def digits(self) -> tuple[tuple[tuple[str, str], ...], str]:
        """Digits choose how far back flows are shown."""
        return tuple((str(at), word) for at, word in enumerate(WINDOWS)), WINDOWS[self._window]

    def status(self) -> StatusView:
        """Say what is filtered, whether it stands still, what was lost."""
        view = [self.filter_text] if self.filter_text else []
        view += ["faults"] if self._faults else []
        view += ["unfolded"] if self._feed.unfolded else []
        if (seconds := WINDOWS_S[self._window]) is not None:
            view.append(f"last {span_of(seconds)}")
        ring = self.session.workspace.ring
        namespace = self.session.namespace
        narrowing = self.session.workspace.narrowing
        return StatusView(
            ("flows", namespace or ALL, *(("grouped",) if self._grouped else ())),
            server=(narrowing.text,) if narrowing else (),
            view=tuple(view),
            notes=(*self._pause_notes(), *self._loss_notes()),
            counts=f"{self._shown:,}/{len(ring):,} rows",
        )

    def _pause_notes(self) -> tuple[Span, ...]:
        if not self._feed.is_still:
            return ()
        marks = self.session.marks
        waiting = f"+{self._feed.waiting:,}{' or more' if self._feed.missed_some else ''}"
        notes = [Span(f"{marks.pause} PAUSED {waiting}", Tone.WARN)]
        if evicted := self._feed.evicted:
            notes.append(Span(f"{marks.up} {evicted:,} evicted", Tone.DIM))
        return tuple(notes)

    def _loss_notes(self) -> tuple[Span, ...]:
        ring = self.session.workspace.ring
        counts = (
            ("lost", sum(ring.lost.values())),
            ("dropped here", ring.dropped),
            ("unreadable", ring.unreadable),
        )
        said = [f"{count:,} {word}" for word, count in counts if count]
        said += [counted(len(ring.gaps), "gap")] if ring.gaps else []
        said += [f"{counted(len(ring.away), 'node')} away"] if ring.away else []
        return tuple(Span(one, Tone.BAD) for one in said)

    def sheet(self) -> Sheet | None:
        """Give the flows whole; grouped ones as they are shown."""
        from app.services.sheets import flow_sheet

        return super().sheet() if self._grouped else flow_sheet(self.rows().flows())

    # Filter

    def apply_filter(self, text: str) -> str:
        """Filter by the filter language; gives what is wrong with it."""
        try:
            self._filter = self._parse(text)
        except UsageError as error:
            return f"{error}; {error.hint}" if error.hint else str(error)
        self.filter_text = text
        self._refilter()
        self._redraw()
        return ""

    def complete_filter(self, text: str) -> str | None:
        """Complete a key of the filter language, as `ver` to `verdict:`."""
        return complete_key(text, KEYS)

    def filter_hint(self) -> str:
        """Say what a filter of flows may be made of."""
        keys = " ".join(f"{key}:" for key in KEYS)
        return f"text  !text  {keys}  -l key=value  -f letters"

    def _parse(self, text: str) -> Filter | None:
        if not text.strip():
            return None
        return parse_filter(text, now_ns=self.session.clock.now_ns())

    def _refilter(self) -> None:
        if self._filter is None and self.filter_text.strip():
            self._filter = self._parse(self.filter_text)
        self._namespace = self.session.namespace
        wanted = self._predicate()
        self._feed.filter(wanted, self.session.clock.now_ns())

    def _predicate(self) -> Predicate | None:
        parts: list[Predicate] = []
        if namespace := self.session.namespace:
            parts.append(
                lambda flow: namespace in (flow.source.namespace, flow.destination.namespace)
            )
        if self._faults:
            parts.append(views.is_fault)
        if self._filter is not None:
            parts.append(self._filter.matches)
        if len(parts) < 2:  # noqa: PLR2004  # one predicate needs no joining
            return parts[0] if parts else None
        return lambda flow: all(part(flow) for part in parts)

    def _redraw(self) -> None:
        if self._grouped:
            self.show_groups()
        else:
            self.show_flows()
        self.show_detail()

    # The cursor

    @property
    def flow(self) -> Flow | None:
        """The flow under the cursor; of a group, its newest."""
        if self._grouped:
            key = self.table.cursor_key
            return next((one.newest for one in self._groups if one.key == key), None)
        packet = self.rows().packet(self.stream.cursor_key)
        return packet.deciding if packet else None

    def missing(self, need: Need) -> str:
        """A flow is missing when there is none under the cursor."""
        if need is Need.FLOW and self.flow is None:
            return "there is no flow here"
        return super().missing(need)

    def memo(self) -> Place:
        """Remember all that was chosen, the rows that stand still, cursor and scroll."""
        if self._feed not in self.session.left_feeds:
            self.session.left_feeds.append(self._feed)
        main = self.main
        memo = FlowsMemo(
            ref(self._feed),
            window=self._window,
            is_aged=self._look.age_at is not None,
            sort=self._sort,
            is_grouped=self._grouped,
            is_unfolded=self._feed.unfolded,
            is_following=self.stream.following,
            key=main.cursor_key,
            top=main.top,
            wide=main.wide,
        )
        return replace(
            self.place,
            args=("faults",) if self._faults else (),
            filter=self.filter_text,
            cursor=memo,
        )

    @on(Grid.Moved)
    def _moved(self) -> None:
        self._stepped_at = self.session.clock.monotonic()
        self.show_detail()

    @on(Grid.Opened)
    def _opened(self) -> None:
        self.do_open()

    @on(Grid.Titled, "#groups")
    def _titled(self, event: Grid.Titled) -> None:
        if event.column == self._sort[0]:
            self.do_sort_reverse()
        else:
            self._sort_by(event.column)

    @on(Document.Opened)
    def _link_opened(self, event: Document.Opened) -> None:
        if place := place_of(event.target, self.session.picture):
            self.go(place)

    @on(Stream.Released)
    def _released(self) -> None:
        self._feed.stop(self.session.clock.now_ns())
        self.show_flows()
        self.draw_frame()

    @on(Stream.Resumed)
    def _resumed(self) -> None:
        self._feed.go_on()
        self.show_flows()
        self.draw_frame()

    # Actions

    def do_follow(self) -> None:
        """Stand still, or follow again."""
        if self.stream.following:
            self.stream.release()
        else:
            self._feed.go_on()
            self.show_flows()
            self.stream.follow()

    def do_group(self) -> None:
        """One line per connection, or every flow."""
        self._show_grouped(grouped=not self._grouped)
        self._redraw()

    def _show_grouped(self, *, grouped: bool) -> None:
        self._grouped = grouped
        self.set_class(grouped, "-grouped")
        self.main.focus()

    def do_sort_left(self) -> None:
        """Sort groups by the column to the left."""
        self._sort_by(self._sort[0] - 1)

    def do_sort_right(self) -> None:
        """Sort groups by the column to the right."""
        self._sort_by(self._sort[0] + 1)

    def do_sort_reverse(self) -> None:
        """Reverse the order of groups."""
        self._order(self._sort[0], descending=not self._sort[1])

    def _sort_by(self, column: int) -> None:
        column %= len(GROUP_COLUMNS)
        self._order(column, descending=GROUP_COLUMNS[column].key in GROW_DOWN)

    def _order(self, column: int, *, descending: bool) -> None:
        if not self._grouped:
            self.say("flows come in order of time; `a` groups them, and groups sort")
            return
        self._sort = (column, descending)
        self._redraw()

    @property
    def main(self) -> Grid:
        """The grid that has the keyboard."""
        return self.table if self._grouped else self.stream

    def do_halves(self) -> None:
        """One line for a packet, or one for each time it was seen."""
        self._feed.unfolded = not self._feed.unfolded
        self._refilter()
        self._redraw()

    def do_faults(self) -> None:
        """Only drops, audits and errors, or everything."""
        self._faults = not self._faults
        self._refilter()
        self._redraw()

    def do_server(self) -> None:
        """Let Relay apply what it can of namespace and filter, or ask for everything again."""
        workspace = self.session.workspace
        if workspace.narrowing is not None:
            workspace.widen()
            self.say("Relay is asked for every flow again")
        else:
            namespace = self.session.namespace
            text = " ".join(filter(None, (namespace and f"ns:{namespace}", self.filter_text)))
            try:
                workspace.narrow(text, parse_filter(text).to_hubble())
            except UsageError as error:
                self.say(f"{error}; {error.hint}" if error.hint else str(error))
                return
            self.say(f"Relay is asked for flows of `{text}` only; nothing else is kept meanwhile")
        self.draw_frame()

    def do_window(self, digit: int) -> None:
        """Choose how far back flows are shown."""
        self._window = digit
        self._feed.window(WINDOWS_S[digit], self.session.clock.now_ns())
        self._redraw()
        if digit == 1:
            self.do_top()
        elif not self._grouped:
            self._feed.go_on()
            self.show_flows()
            self.stream.follow()

    def do_detail(self) -> None:
        """Show or hide the detail pane."""
        shown = self.query_one("#detail", Document).display
        self.set_class(not shown, "-detail")
        self.set_class(shown, "-no-detail")
        self.call_after_refresh(self.show_detail)

    def do_wide(self) -> None:
        """Show every column, or those that fit."""
        self.main.set_wide(wide=not self.main.wide)

    def do_time(self) -> None:
        """Clock times, or ages."""
        at = None if self._look.age_at is not None else self.session.clock.now_ns()
        self._look = replace(self._look, age_at=at)
        self.stream.forget()
        self._redraw()

    def do_clear(self) -> None:
        """Show only what comes from now on."""
        self._feed.clear()
        self._redraw()
        self.stream.follow()
