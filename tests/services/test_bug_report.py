from __future__ import annotations

import json
from typing import Any

from app.cli.installed import OPTIONS
from tests.cli.conftest import Run, run

__all__ = ["run"]

SECRETIVE = {
    "namespace": "project-unicorn",
    "name": "daedalus",
    "label": "icarus",
    "address": "10.77.66.55",
    "kind": "MinotaurPlan",
}


def _snapshot(tmp_path: Any) -> str:
    objects = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": SECRETIVE["name"],
                "namespace": SECRETIVE["namespace"],
                "labels": {"app": SECRETIVE["label"]},
            },
            "status": {"podIP": SECRETIVE["address"]},
        },
        {"apiVersion": "x.example/v1", "kind": SECRETIVE["kind"], "metadata": {"name": "a"}},
    ]
    file = tmp_path / "thesis-of-daedalus.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return str(file)


def test_report_when_written_then_counts_and_names_nothing_of_the_cluster(
    run: Run, tmp_path: Any
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[ui]\ntheme = "k8tre-dark"\n[projects]\n"project-unicorn" = "*"\n')
    for form in ("table", "json", "yaml"):
        ran = run(
            "doctor", "--report", "--snapshot", _snapshot(tmp_path), "-o", form,
            "--config", str(config),
        )  # fmt: skip
        assert ran.code == 0, ran.err
        for word in (*SECRETIVE.values(), "thesis", str(tmp_path), "k8tre-dark"):
            assert word not in ran.out


def test_report_when_written_then_says_releases_options_settings_sources_and_counts(
    run: Run, tmp_path: Any
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[ui]\nmouse = false\n[projects]\n"project-unicorn" = "*"\n')
    report = run(
        "doctor", "--report", "--snapshot", _snapshot(tmp_path), "-o", "json",
        "--config", str(config),
    ).json  # fmt: skip
    assert report["program"]["packages"]["textual"]
    assert report["given"] == ["--snapshot"]
    assert report["settings"] == ["projects", "ui.mouse"]
    assert [one["phase"] for one in report["sources"]] == ["live"]
    assert report["objects"]["Pod"] == 1
    assert report["counts"]["endpoints"] == 1
    assert report["flows"] == {"kept": 0, "lost": 0}


def test_report_when_a_source_fails_then_says_how_and_is_written_all_the_same(
    run: Run, tmp_path: Any
) -> None:
    ran = run("doctor", "--report", "--snapshot", str(tmp_path / "gone"), "-o", "json")
    assert ran.code == 0
    assert ran.json["sources"][0]["phase"] == "denied"
    assert str(tmp_path) not in ran.out


def test_options_of_the_report_when_compared_then_are_those_of_the_command_line() -> None:
    from app.cli.parser import build_parser

    known = {action.dest for action in build_parser(["doctor"])._actions}
    assert set(OPTIONS) <= known
