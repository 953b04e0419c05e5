import pytest

from app.core.drafts.edits import parse_path, show_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (
            "spec.egress[1].toPorts[0].ports[0].port",
            ("spec", "egress", 1, "toPorts", 0, "ports", 0, "port"),
        ),
        ("specs[2].ingress", ("specs", 2, "ingress")),
        ("", ()),
    ],
)
def test_parse_path_when_trace_form_then_steps_and_back(
    text: str, path: tuple[str | int, ...]
) -> None:
    assert parse_path(text) == path
    assert show_path(path) == text
