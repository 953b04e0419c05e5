from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.widget import Widget

from tests.widgets.conftest import Stage, screen_text
from tests.widgets.hostile import hostile_text, offending
from widgets.document import Document, Paragraph, heading, paragraph
from widgets.motion import Motion

MakeStage = Callable[[Widget], Stage]


def numbered(count: int) -> tuple[Paragraph, ...]:
    return tuple(paragraph(f"line {at}") for at in range(count))


async def test_document_when_narrow_then_wraps_with_its_indent(stage: MakeStage) -> None:
    document = Document((paragraph("one two three four", indent=2),))
    async with stage(document).run_test(size=(12, 4)):
        assert screen_text(document)[:3] == ["one two", "  three", "  four"]


async def test_document_when_scrolled_by_keys_then_moves_by_line_and_page(stage: MakeStage) -> None:
    document = Document(numbered(50))
    async with stage(document).run_test(size=(20, 5)):
        document.move(Motion.DOWN)
        assert screen_text(document)[0] == "line 1"
        document.move(Motion.PAGE_DOWN)
        assert screen_text(document)[0] == "line 6"
        document.move(Motion.BOTTOM)
        assert screen_text(document)[-1] == "line 49"
        document.move(Motion.TOP)
        assert screen_text(document)[0] == "line 0"


async def test_document_when_it_has_stops_then_the_cursor_goes_between_them(
    stage: MakeStage,
) -> None:
    document = Document((paragraph("a", target="a"), paragraph("-"), paragraph("b", target="b")))
    async with stage(document).run_test(size=(20, 5)):
        assert document.target == "a"
        document.move(Motion.DOWN)
        assert document.target == "b"
        document.move(Motion.UP)
        assert document.target == "a"


async def test_document_when_replaced_then_the_cursor_stays_on_its_target(
    stage: MakeStage,
) -> None:
    document = Document((paragraph("a", target="a"), paragraph("b", target="b")))
    async with stage(document).run_test(size=(20, 5)):
        document.select("b")
        document.show((paragraph("new", target="n"), paragraph("b", target="b")))
        assert document.target == "b"
        assert not document.select("gone")


async def test_document_when_searched_then_goes_around_the_places_found(stage: MakeStage) -> None:
    document = Document((*numbered(20), paragraph("NEEDLE"), *numbered(20)))
    async with stage(document).run_test(size=(20, 5)):
        document.search("needle")
        assert document.search_next()
        assert screen_text(document)[0] == "NEEDLE"
        assert document.search_next(back=True)
        document.search("absent")
        assert not document.search_next()


async def test_document_when_not_wrapped_then_scrolls_sideways(stage: MakeStage) -> None:
    document = Document((paragraph("0123456789" * 4),))
    async with stage(document).run_test(size=(12, 3)) as pilot:
        document.set_wrap(wraps=False)
        await pilot.pause()
        document.move(Motion.RIGHT)
        assert screen_text(document)[0].startswith("89012")


async def test_document_when_copied_then_the_text_is_unwrapped(stage: MakeStage) -> None:
    document = Document((heading("Title"), paragraph("one two three four")))
    async with stage(document).run_test(size=(12, 4)):
        assert document.text == "Title\none two three four"


@given(st.lists(hostile_text, min_size=1, max_size=3))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_document_when_hostile_then_strips_are_clean(
    stage: MakeStage, texts: list[str]
) -> None:
    document = Document(tuple(paragraph(text, target=text) for text in texts))
    async with stage(document).run_test(size=(24, 6)):
        for y in range(document.size.height):
            strip = document.render_line(y)
            assert not offending(strip.text)
            assert strip.cell_length == document.scrollable_content_region.width
