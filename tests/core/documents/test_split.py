from hypothesis import given
from hypothesis import strategies as st

from app.core.documents.split import split_documents


def _lines(text: str) -> list[tuple[str, int]]:
    return [(chunk.text, chunk.line) for chunk in split_documents(text)]


def test_split_when_one_document_then_one_chunk() -> None:
    assert _lines("a: 1\n") == [("a: 1\n", 1)]


def test_split_when_markers_then_each_chunk_knows_its_line() -> None:
    assert _lines("---\na: 1\n---\n# note\nb: 2") == [("---\na: 1\n", 1), ("---\n# note\nb: 2", 3)]


def test_split_when_only_comments_between_markers_then_left_out() -> None:
    assert _lines("# head\n---\n# nothing\n---\na: 1\n") == [("---\na: 1\n", 4)]


def test_split_when_directive_then_it_stays_with_its_document() -> None:
    assert _lines("%YAML 1.1\n---\na: 1\n") == [("%YAML 1.1\n---\na: 1\n", 1)]


def test_split_when_document_ends_with_dots_then_next_line_is_another() -> None:
    assert _lines("a: 1\n...\nb: 2\n") == [("a: 1\n...\n", 1), ("b: 2\n", 3)]


def test_split_when_content_follows_the_marker_then_kept() -> None:
    assert _lines("--- {a: 1}\n--- |\n x\n") == [("--- {a: 1}\n", 1), ("--- |\n x\n", 2)]


def test_split_when_dashes_are_indented_or_longer_then_no_marker() -> None:
    assert len(split_documents("a: |\n  ---\nb: ----\n----: 1\n")) == 1


def test_split_when_crlf_then_markers_are_seen() -> None:
    assert [line for _, line in _lines("a: 1\r\n---\r\nb: 2\r\n")] == [1, 2]


@given(st.text(alphabet="-. a:\n#%\r"))
def test_split_when_any_text_then_chunks_are_slices_in_order_with_right_lines(text: str) -> None:
    at = 0
    for chunk in split_documents(text):
        assert at <= chunk.start < chunk.end
        assert text[chunk.start : chunk.end] == chunk.text
        assert text.count("\n", 0, chunk.start) + 1 == chunk.line
        at = chunk.end
