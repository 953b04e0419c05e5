"""The troubleshooter: who, to whom, on which port, then evidence, cause and fix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.suggester import SuggestFromList
from textual.widgets import Input

from app.core.errors import Ambiguous, K8treError
from app.core.model.answer import WhyAnswer
from app.core.model.cluster import Cluster
from app.core.text import clean
from app.services.ask import Inquiry
from app.services.picture import Picture
from app.tui.actions import Need, Scope, bindings
from app.tui.links import place_of, rule_to_change
from app.tui.places import Place
from app.tui.questions import Words
from app.tui.screens.document import DocumentScreen, TextMemo
from app.tui.session import Session, judges_alike
from app.tui.views import why as views
from widgets.document import Document, Paragraph, paragraph
from widgets.frame import StatusView
from widgets.lines import Lines
from widgets.spans import Span, Tone

if TYPE_CHECKING:
    from app.services.drafting import Drafter

REASK_S = 2.0
"""Seconds between two askings of one question while DNS names are being learned."""

FIELDS = ("source", "destination", "port", "request")
LABELS = {"source": " from ", "destination": " to ", "port": " port ", "request": " request "}
HINTS = {
    "source": "NS/POD",
    "destination": "NS/POD, svc:NS/NAME:PORT, name or address",
    "port": "443/TCP",
    "request": "GET /path",
}


@dataclass(frozen=True, slots=True)
class WhyMemo(TextMemo):
    """How an answer was left."""

    unfolded: bool
    chosen: int


class Why(DocumentScreen):
    """`args` are source, destination, port and request, as far as they are known."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.WHY, Scope.TEXT)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.WHY)]
    DEFAULT_CSS = """
    Why {
        .question { height: 1; background: $surface; }
        .question Lines { width: auto; min-width: 6; max-width: 10; }
        .question Input {
            border: none; height: 1; padding: 0; width: 1fr; background: $surface;
            &:focus { background: $boost; }
        }
    }
    """

    def __init__(self, session: Session, place: Place) -> None:
        super().__init__(session, place)
        self._inquiry: Inquiry | None = None
        self._answer: WhyAnswer | None = None
        memo = place.cursor if isinstance(place.cursor, WhyMemo) else None
        self._unfolded = memo is not None and memo.unfolded
        self._chosen = memo.chosen if memo else 0
        self._asked_of: Cluster | None = None
        self._asked_at = 0.0

    def compose_body(self) -> ComposeResult:
        """Lay out the question over the answer."""
        given = dict(zip(FIELDS, self.place.args, strict=False))
        ends = sorted({one.key for one in self.session.picture.cluster.endpoints})
        suggester = SuggestFromList([clean(end) for end in ends], case_sensitive=True)
        for pair in (FIELDS[:2], FIELDS[2:]):
            with Horizontal(classes="question"):
                for name in pair:
                    yield Lines(((Span(LABELS[name], Tone.DIM),),), id=f"label-{name}")
                    yield Input(
                        clean(given.get(name, "")),
                        placeholder=HINTS[name],
                        suggester=suggester if name in FIELDS[:2] else None,
                        compact=True,
                        select_on_focus=False,
                        id=name,
                    )
        yield Document(id="main")

    def begin(self) -> None:
        """Ask at once what can be asked."""
        super().begin()
        missing = next((name for name in FIELDS[:2] if not self._field(name).value), None)
        if missing is not None:
            self._field(missing).focus()

    def _field(self, name: str) -> Input:
        return self.query_one(f"#{name}", Input)

    @property
    def words(self) -> Words:
        """The question as it stands in the fields."""
        return Words(*(self._field(name).value.strip() for name in FIELDS))

    def show_picture(self, picture: Picture) -> None:
        """Ask again: at once when policies or objects changed, a little later for names."""
        words = self.words
        if not (words.source and words.destination):
            self.document.show(views.how_to_ask())
            return
        if not judges_alike(picture.cluster, self._asked_of):
            self._ask(picture, words)

    def tick(self) -> None:
        """Ask again with the names that were learned meanwhile."""
        picture = self.session.picture
        late = self.session.clock.monotonic() - self._asked_at >= REASK_S
        if late and self._answer is not None and picture.cluster is not self._asked_of:
            self._ask(picture, self.words)

    def _ask(self, picture: Picture, words: Words) -> None:
        self._asked_of = picture.cluster
        self._asked_at = self.session.clock.monotonic()
        try:
            inquiry = views.answer_to(picture, self.session, words)
        except K8treError as error:
            self._inquiry = self._answer = None
            self.document.show(_problem(error, read=self.session.has_read))
            return
        self._inquiry = inquiry
        self.show_answer(inquiry.answer)
        drafter = self.session.drafter
        if drafter is not None and inquiry.ways.plans:
            self.work("fixes", self._find_patches(drafter, inquiry))

    def show_answer(self, answer: WhyAnswer) -> None:
        """Draw an answer."""
        self._answer = answer
        self._draw()
        self.draw_frame()

    async def _find_patches(self, drafter: Drafter, inquiry: Inquiry) -> None:
        """Look meanwhile for the patches of the fixes."""
        answer = await drafter.patched(inquiry)
        if self._inquiry is inquiry:
            self.show_answer(answer)

    def _draw(self) -> None:
        if self._answer is None:
            return
        marks = self.session.marks
        self.document.show(
            tuple(views.describe(self._answer, marks, unfolded=self._unfolded, chosen=self._chosen))
        )

    def status(self) -> StatusView:
        """Say what the answer is made of."""
        view = (self.filter_text,) if self.filter_text else ()
        return StatusView(("why",), view=view, notes=self._notes())

    def _notes(self) -> tuple[Span, ...]:
        if (narrowing := self.session.workspace.narrowing) is not None:
            return (Span(f"only flows of {narrowing.text} are asked for", Tone.WARN),)
        if self.session.workspace.ring.seen:
            return ()
        return (Span("without flows: from policies alone", Tone.WARN),)

    def missing(self, need: Need) -> str:
        """An answer, a fix or the way to draft it may be missing."""
        if need is Need.ANSWER and self._answer is None:
            return "nothing has been asked yet"
        if need is Need.FIX and not self._can_draft:
            return "there is no change to draft"
        return super().missing(need)

    @property
    def _can_draft(self) -> bool:
        fixes = self._answer.fixes if self._answer else ()
        return self._chosen < len(fixes) and fixes[self._chosen].change != "none"

    def memo(self) -> Place:
        """Remember the question, and how far the answer was unfolded and read."""
        words = self.words
        args = (words.source, words.destination, words.port, words.request)
        memo = WhyMemo(self.document.target, self.document.top, self._unfolded, self._chosen)
        return replace(self.place, args=args, cursor=memo)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.input.id not in FIELDS:
            return
        event.stop()
        words = self.words
        if not words.source:
            self._field("source").focus()
        elif not words.destination:
            self._field("destination").focus()
        else:
            self._unfolded, self._chosen = False, 0
            self.document.focus()
            self._ask(self.session.picture, words)
            self.draw_frame()

    @on(Document.Moved)
    def _moved(self) -> None:
        target = self.document.target
        if target.startswith(views.FIX):
            self._chosen = int(target.removeprefix(views.FIX))
            self._draw()

    def is_command(self, entry: Input) -> bool:
        """In a port, which has none, a `:` always begins a command."""
        return super().is_command(entry) or entry.id == "port"

    # Actions

    def do_back(self) -> None:
        """From a field to the answer first; then back."""
        if isinstance(self.focused, Input):
            self.document.focus()
            return
        super().do_back()

    def do_next_field(self) -> None:
        """Go to the next field, then to the answer."""
        self._step(1)

    def do_last_field(self) -> None:
        """Go to the field before."""
        self._step(-1)

    def _step(self, step: int) -> None:
        order = [*FIELDS, "main"]
        at = order.index(self.focused.id) if self.focused and self.focused.id in order else -1
        self.query_one(f"#{order[(at + step) % len(order)]}").focus()

    def do_open(self) -> None:
        """Go to what is under the cursor; else show or hide the trace."""
        if not self.follow():
            self.do_unfold()

    def do_rule(self) -> None:
        """Go to the rule that decides, or would have to change."""
        if self._answer is None:
            return
        place = place_of(rule_to_change(self._answer), self.session.picture)
        if place is None:
            self.say("no rule decides this")
            return
        self.go(place)

    def do_unfold(self) -> None:
        """Show or hide the trace."""
        self._unfolded = not self._unfolded
        self._draw()

    def do_fix(self, digit: int) -> None:
        """Choose a fix."""
        if self._answer is None or digit > len(self._answer.fixes):
            self.say(f"there is no fix {digit}")
            return
        self._chosen = digit - 1
        self._draw()
        self.document.select(f"{views.FIX}{self._chosen}")

    def do_draft(self) -> None:
        """Draft the chosen fix."""
        if self._inquiry is not None and self._answer is not None:
            fix = self._answer.fixes[self._chosen]
            self.go(Place("draft", subject=(self._inquiry, fix)))

    def do_flows(self) -> None:
        """Show flows between the two ends."""
        self.go(Place("flows", namespace="", filter=self._flow_filter()))

    def _flow_filter(self) -> str:
        terms = []
        for key, text in (("from", self.words.source), ("to", self.words.destination)):
            kind, colon, name = text.partition(":")
            name = name if colon else text
            if colon and kind not in ("pod", "ip"):
                continue
            terms.append(f"{key}:{name}")
        return " ".join(terms)

    def do_copy_command(self) -> None:
        """Copy the command line that asks the same."""
        self.copy(self.words.command(), "the command")


def _problem(error: K8treError, *, read: bool) -> tuple[Paragraph, ...]:
    lines = [paragraph(Span(str(error), Tone.WARN))]
    if error.hint:
        lines.append(paragraph(Span(error.hint, Tone.DIM)))
    if isinstance(error, Ambiguous):
        lines += [paragraph(f"  {choice}") for choice in error.choices]
    if not read:
        lines.append(paragraph("Nothing has been read yet; this is asked again when it has."))
    return tuple(lines)
