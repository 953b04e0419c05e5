from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_path_follows_xdg(run: Run, tmp_path: Path) -> None:
    ran = run("config", "path")
    assert ran.out == f"{tmp_path}/config/k8tre-tui/config.toml\n"


def test_validate_names_line_and_nearest_key(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[ui]\nthem = 1\n", encoding="utf-8")
    ran = run("config", "validate", str(path))
    assert ran.code == 2
    assert ran.err.splitlines() == [
        f"k8tre-tui: {path}:2: unknown key `ui.them`",
        "  did you mean `ui.theme`?",
    ]


def test_validate_accepts_the_example(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(run("config", "example").out, encoding="utf-8")
    ran = run("config", "validate", str(path))
    assert (ran.code, ran.out) == (0, f"{path}: fine\n")


def test_show_says_where_a_value_comes_from(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[flows]\nkeep = 9\n", encoding="utf-8")
    ran = run("config", "show", "--origin", "-o", "json", "--config", str(path))
    items = {item["key"]: item for item in ran.json["items"]}
    assert ran.json["schema"] == "k8tre-tui/v1"
    assert items["flows.keep"] == {"key": "flows.keep", "value": 9, "origin": f"{path}:2"}
    assert items["ui.mouse"]["origin"] == "default"


def test_show_is_a_table_by_default(run: Run) -> None:
    lines = run("config", "show").out.splitlines()
    assert lines[0].split() == ["KEY", "VALUE"]
    assert any(line.split() == ["flows.keep", "50000"] for line in lines)


@pytest.mark.parametrize("text", ['[ui]\ntheme = "neon"\n', '[keys]\n"no.such" = "x"\n'])
def test_validate_knows_the_names_of_themes_and_actions(
    run: Run, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    assert run("config", "validate", str(path)).code == 2
