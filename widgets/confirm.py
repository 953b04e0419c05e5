"""The question before anything leaves this program: it names the target, and enter is not yes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from widgets.document import Document, Paragraph
from widgets.lines import Lines
from widgets.spans import Span, Tone
from widgets.sturdy import Sturdy


@dataclass(frozen=True, slots=True)
class Question:
    """`word`, if any, must be typed: for what opens more than it must."""

    title: str
    body: tuple[Paragraph, ...]
    word: str = ""


class Confirm(Sturdy, ModalScreen[bool], inherit_bindings=False):
    """Gives True for yes. `y`, or the typed word and enter, is the only way to it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,q", "answer(False)", "No", show=False),
        Binding("y", "answer(True)", "Yes", show=False),
    ]
    DEFAULT_CSS = """
    Confirm {
        align: center middle;
        & > Vertical {
            width: 90%; max-width: 76; height: auto; background: $surface; padding: 1 2;
            border: heavy $warning;
        }
        Document { height: auto; max-height: 16; padding: 0; }
        Input { border: none; height: 1; padding: 0; margin-top: 1; }
    }
    """

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        question = self._question
        with Vertical():
            yield Lines(((Span(question.title, Tone.HEADING),), ()))
            yield Document(question.body, id="body")
            if question.word:
                yield Lines(((), (Span(f"Type {question.word} and press enter; "), _NO)))
                yield Input(compact=True)
            else:
                yield Lines(((), (Span("<y>", Tone.KEY), Span(" yes   "), _NO)))

    def on_mount(self) -> None:
        """Give the keyboard to the field, or to nothing that enter would press."""
        if self._question.word:
            self.query_one(Input).focus()
        else:
            self.query_one(Document).focus()

    def action_answer(self, yes: bool) -> None:  # noqa: FBT001  # Textual passes it so
        """Close with an answer; a question with a word cannot be answered by a key."""
        if not (yes and self._question.word):
            self.dismiss(yes)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip() == self._question.word:
            self.dismiss(True)  # noqa: FBT003  # the screen's result


_NO = Span("<esc> no", Tone.DIM)
