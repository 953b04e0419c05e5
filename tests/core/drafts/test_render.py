from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.documents.limits import EDITING
from app.core.documents.tree import TreeBuilder, compose
from app.core.drafts.render import render_document, render_flow, render_scalar
from app.core.drafts.style import DOUBLE, SINGLE, Style

_scalars = st.one_of(
    st.text(max_size=12),
    st.booleans(),
    st.none(),
    st.integers(),
    st.sampled_from(["no", "0x10", "1e3", "12:30", "2024-01-02", "~", "<<", "- a", "a: b", "#"]),
)
_keys = st.text(min_size=0, max_size=6)
_trees = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)
_styles = st.builds(
    Style,
    eol=st.sampled_from(["\n", "\r\n"]),
    dash_offset=st.integers(0, 4),
    step=st.integers(1, 4),
    quote=st.sampled_from([DOUBLE, SINGLE]),
)


def _read(text: str) -> Any:
    return TreeBuilder(EDITING, aliases=False).build(compose(text))


@given(_trees, _styles)
def test_render_document_when_any_value_and_style_then_it_reads_back(
    value: Any, style: Style
) -> None:
    assert _read(render_document(value, style)) == value


@given(_trees, _styles)
def test_render_flow_when_any_value_then_it_reads_back_between_brackets(
    value: Any, style: Style
) -> None:
    assert _read(f"[{render_flow(value, style)}]") == [value]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("pypi.org", "pypi.org"),
        ("443", '"443"'),
        ("yes", '"yes"'),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("*.pypi.org", '"*.pypi.org"'),
        ("k8s:io.kubernetes.pod.namespace", "k8s:io.kubernetes.pod.namespace"),
        ("${DOMAIN}", "${DOMAIN}"),
        ("two words", '"two words"'),
        ("tab\there", '"tab\\there"'),
        ("", '""'),
        (443, "443"),
        (True, "true"),
        (None, "null"),
    ],
)
def test_render_scalar_when_plain_would_mean_the_same_then_plain(value: Any, text: str) -> None:
    assert render_scalar(value, Style()) == text


def test_render_scalar_when_single_quotes_cannot_hold_it_then_double() -> None:
    assert render_scalar("it's", Style(quote=SINGLE, quotes={"k": SINGLE}), "k") == "'it''s'"
    assert render_scalar("a\nb", Style(quote=SINGLE)) == '"a\\nb"'
