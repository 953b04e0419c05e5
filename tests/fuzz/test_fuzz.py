"""Structural fuzzing: whatever shape an input has, a command ends with an answer or a clear error.

The seed is fixed; `FUZZ_SEED=N` takes another, and with `CI` set a fresh one is taken. It stands at
the head of the run and in the report of a failure. `FUZZ_SECONDS` says how long
each test tries (CI: 20, at home 4).
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Ran, Run
from tests.fuzz import corpus
from tests.fuzz.mutate import ODD_VALUES, mutate
from tests.fuzz.seed import IN_CI, SEED

SECONDS = float(os.environ.get("FUZZ_SECONDS") or (20 if IN_CI else 4))
SLOWEST_S = 5.0
"""Of the processor: how busy the machine is otherwise tells nothing."""
CODES = {0, 1, 2, 3}

QUESTIONS = (
    ("policies",),
    ("policies", "-o", "json"),
    ("policies", "cnp"),
    ("policies", "knp", "-o", "yaml"),
    ("policies", "ccnp", "-o", "json"),
    ("endpoints",),
    ("endpoints", "-o", "json"),
    ("endpoints", "lab/web-1"),
    ("matrix",),
    ("matrix", "--by", "identity", "-o", "csv"),
    ("why", "lab/web-1", "lab/db-1", "5432"),
    ("why", "lab/web-1", "pypi.org", "443", "-o", "json"),
    ("why", "lab/web-1", "web.tre.org", "443"),
    ("why", "lab/web-1", "svc:lab/web:80", "--http", "GET /a"),
    ("why", "ip:203.0.113.5", "lab/web-1", "8080"),
    ("why", "deploy:lab/db", "lab/web-1", "http", "--explain"),
    ("why", "lab/web-1", "192.168.0.1", "22"),
    ("why", "entity:world", "entity:host", "80", "--explain"),
    ("doctor",),
    ("what-if", "--delete", "NetworkPolicy/next/neighbour"),
    ("what-if", "-f", "DRAFT", "-o", "json"),
    ("draft", "next/other", "next/good", "80"),
    ("draft", "lab/web-1", "pypi.org", "443", "-o", "json"),
    ("check", "BOUNDARIES"),
    ("check", "BOUNDARIES", "-o", "junit"),
    ("lint",),
    ("lint", "-o", "json"),
    ("lint", "-o", "sarif"),
    ("matrix", "-n", "lab", "-o", "json"),
    ("alerts", "--flows", "FLOWS", "-o", "json"),
    ("evidence", "-o", "FOLDER", "--boundaries", "BOUNDARIES"),
    ("doctor", "-o", "json"),
    ("snapshot", "-o", "OUT"),
    ("snapshot", "-o", "OUT", "--redact"),
)
OVER_FLOWS = (
    ("flows", "-o", "table"),
    ("flows", "-o", "json"),
    ("flows", "-o", "jsonl"),
    ("flows", "-o", "yaml"),
    ("why", "project-lung/jupyter-alice", "svc:mirror/mirror:80", "--demo"),
    ("alerts", "--demo"),
    ("alerts", "--demo", "-o", "jsonl"),
)
BOUNDARIES = """
[[boundary]]
name = "apart"
from = ["ns:lab", "entity:world"]
to = ["ns:next", "entity:world"]
must = "deny"
[[boundary]]
name = "served"
from = "label:lab/app=web"
to = "svc:lab/web"
must = "allow"
"""
DRAFT = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: more, namespace: lab}
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress: [{toFQDNs: [{matchPattern: "*.org"}]}, {toCIDR: [203.0.113.0/24]}]
"""


def dice_for(name: str) -> random.Random:
    return random.Random(f"{SEED} {name}")  # noqa: S311  # fuzzing is no cryptography


def rounds() -> Iterator[int]:
    """Rounds until the time is over."""
    end_s, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < end_s:
        yield number
        number += 1


def check(ran: Ran, took_s: float, said: object) -> None:
    """What holds of every command, whatever it was given."""
    about = f"FUZZ_SEED={SEED} {said}\n{ran.err[-2000:]}"
    assert ran.code in CODES, about
    assert took_s < SLOWEST_S, about
    text = ran.out + ran.err
    assert not set(text) & set("\x1b\x07\r\x9b\u202e\u2028"), about
    assert not any(line.startswith("✓ ALLOWED  forged") for line in text.splitlines()), about


def timed(run: Run, *words: str) -> tuple[Ran, float]:
    started = time.process_time()
    return run(words), time.process_time() - started


def named_files(folder: Path) -> dict[str, str]:
    """The files and folders that questions name, by the word that stands for each."""
    texts = {
        "BOUNDARIES": BOUNDARIES,
        "DRAFT": DRAFT,
        "FLOWS": json.dumps(corpus.FLOW),
        "OUT": "",
    }
    for word, text in texts.items():
        (folder / word).write_text(text, encoding="utf-8")
    return {word: str(folder / word) for word in (*texts, "FOLDER")}


def test_objects_of_any_shape_cost_themselves_only(run: Run, tmp_path: Path) -> None:
    dice, file = dice_for("objects"), tmp_path / "objects.json"
    for at in rounds():
        named = named_files(tmp_path) | {"FOLDER": str(tmp_path / f"pack-{at}")}
        bodies = corpus.objects()
        said = [f"{body['kind']} {mutate(body, dice)}" for body in bodies if dice.random() < 0.6]
        document = {"apiVersion": "v1", "kind": "List", "items": bodies + corpus.neighbours()}
        text = json.dumps(document) if dice.random() < 0.7 else yaml.safe_dump(document)
        file.write_text(text, encoding="utf-8")
        words = [named.get(word, word) for word in dice.choice(QUESTIONS)]
        check(*timed(run, *words, "--snapshot", str(file)), (words, said))
        why = run("why", "next/other", "next/good", "80", "--snapshot", str(file), "-o", "json")
        if not any(place.startswith(("ConfigMap", "CiliumClusterwide")) for place in said):
            assert why.json["ingress"]["verdict"] == "denied", (SEED, said)


def test_flow_lines_of_any_shape_are_read_or_counted(run: Run, tmp_path: Path) -> None:
    dice, file = dice_for("flows"), tmp_path / "flows.jsonl"
    for _ in rounds():
        lines, said = [], []
        for _ in range(40):
            line = corpus.copy(corpus.FLOW)
            said.append(mutate(line, dice))
            lines.append(json.dumps(line))
        good = corpus.copy(corpus.FLOW)
        good["flow"]["uuid"] = "sentinel"
        lines.insert(dice.randrange(len(lines)), json.dumps(good))
        file.write_text("\n".join(lines), encoding="utf-8")
        words = dice.choice(OVER_FLOWS)
        ran, took_s = timed(run, *words, "--flows", str(file))
        check(ran, took_s, (words, said))
        if words[0] == "flows" and words[-1] != "table":
            assert "sentinel" in ran.out, (SEED, words, said)


def test_settings_of_any_shape_are_taken_or_named(run: Run, tmp_path: Path) -> None:
    dice, file = dice_for("settings"), tmp_path / "config.toml"
    from app.config import sections

    options = [(name, one.name) for name, _, fields in sections() for one in fields]
    for _ in rounds():
        section, option = dice.choice(options)
        value = dice.choice(ODD_VALUES)
        if (text := _toml(value)) is None:
            continue
        file.write_text(f"[{section}]\n{option} = {text}\n", encoding="utf-8")
        said = (section, option, value)
        for words in (("config", "validate", str(file)), ("config", "show", str(file))):
            check(*timed(run, *words), said)
        fine = run("config", "validate", str(file)).code == 0
        ran, took_s = timed(run, "policies", "--demo", "--config", str(file))
        check(ran, took_s, said)
        assert not fine or ran.code == 0 or section == "check", (said, ran.err)


def test_boundaries_of_any_shape_are_judged_or_refused(run: Run, tmp_path: Path) -> None:
    dice, file = dice_for("boundaries"), tmp_path / "boundaries.toml"
    for _ in rounds():
        table = corpus.copy(corpus.BOUNDARY)["boundary"][0]
        said = mutate(table, dice)
        lines = [f"{_toml_key(key)} = {_toml(value)}" for key, value in table.items()]
        file.write_text("[[boundary]]\n" + "\n".join(lines), encoding="utf-8")
        form = dice.choice(("table", "json", "junit", "yaml"))
        check(*timed(run, "check", str(file), "--demo", "-o", form), said)


def test_kustomizations_of_any_shape_are_followed_or_named(run: Run, tmp_path: Path) -> None:
    dice = dice_for("kustomizations")
    root = tmp_path / "tree"
    (root / "part").mkdir(parents=True)
    (root / ".git").mkdir()
    for name, bodies in (("objects", corpus.objects()), ("patch", corpus.objects()[:1])):
        (root / f"{name}.yaml").write_text(yaml.safe_dump_all(bodies), encoding="utf-8")
    for _ in rounds():
        body = corpus.copy(corpus.KUSTOMIZATION)
        said = [mutate(body, dice) for _ in range(dice.choice((1, 1, 3)))]
        (root / "kustomization.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")
        check(*timed(run, "policies", "--snapshot", str(root)), said)


@pytest.mark.parametrize("what", ["kubeconfig", "draft"])
def test_other_files_of_any_shape_are_read_or_named(run: Run, tmp_path: Path, what: str) -> None:
    dice, file = dice_for(what), tmp_path / "file.yaml"
    words: Callable[[], tuple[str, ...]] = {
        "kubeconfig": lambda: ("policies", "--kubeconfig", str(file)),
        "draft": lambda: ("what-if", "-f", str(file), "--demo"),
    }[what]
    good: Any = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a", "namespace": "x"}}],
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"token": "t", "exec": None}}],
    }
    for _ in rounds():
        body = corpus.copy(good) if what == "kubeconfig" else dice.choice(corpus.objects()[-5:])
        said = mutate(body, dice)
        file.write_text(yaml.safe_dump(body), encoding="utf-8")
        check(*timed(run, *words()), said)


def _toml(value: Any) -> str | None:
    """A value in TOML; None for one that it has no form for."""
    if value is None or value == 10**30:
        return None if value is None else "10000000000000000000000"
    if isinstance(value, list):
        parts = [_toml(one) for one in value]
        return None if None in parts else f"[{', '.join(map(str, parts))}]"
    if isinstance(value, dict):
        pairs = [(key, _toml(one)) for key, one in value.items()]
        inner = ", ".join(f"{_toml_key(key)} = {text}" for key, text in pairs if text is not None)
        return f"{{{inner}}}"
    return json.dumps(value).replace("\\u001b", "\\u001B").replace("\x7f", "\\u007f")


def _toml_key(key: str) -> str:
    return json.dumps(key)
