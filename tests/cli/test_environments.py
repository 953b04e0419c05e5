"""Every environment of a checkout is answered for, one by one, with `--env all`."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import Run

POD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: lab}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: c, image: i}]}
---
"""
SPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: lab}\n"
DENY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: apart, namespace: lab}
spec:
  endpointSelector: {matchLabels: {app: store}}
  ingressDeny: [{fromEntities: [all]}]
"""
BOUNDARY = """
[[boundary]]
name = "apart"
from = "deploy:lab/desk"
to = "deploy:lab/store"
must = "deny"
"""
QUESTION = ("why", "deploy:lab/desk", "deploy:lab/store", "80")


@pytest.fixture
def checkout(tmp_path: Path) -> str:
    files = {
        "base/kustomization.yaml": "resources: [apps.yaml]\n",
        "base/apps.yaml": POD.replace("NAME", "desk") + POD.replace("NAME", "store") + SPACE,
        "overlays/dev/kustomization.yaml": "resources: [../../base]\n",
        "overlays/prd/kustomization.yaml": "resources: [../../base, deny.yaml]\n",
        "overlays/prd/deny.yaml": DENY,
        "boundaries.toml": BOUNDARY,
    }
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return str(tmp_path)


@pytest.mark.parametrize(("env", "code"), [("dev", 0), ("prd", 1), ("all", 1)])
def test_why_over_every_environment_is_as_bad_as_the_worst(
    run: Run, checkout: str, env: str, code: int
) -> None:
    assert run(*QUESTION, "--snapshot", checkout, "--env", env).code == code


def test_why_says_where_environments_differ(run: Run, checkout: str) -> None:
    ran = run(*QUESTION, "--snapshot", checkout, "--env", "all", "-o", "json")
    verdicts = {one["env"]: one["verdict"] for one in ran.json["environments"]}
    assert verdicts == {"prd": "denied", "dev": "allowed"}


def test_check_over_every_environment_names_the_one_that_is_broken(run: Run, checkout: str) -> None:
    words = ("check", f"{checkout}/boundaries.toml", "--snapshot", checkout, "--env")
    assert run(*words, "prd").code == 0
    ran = run(*words, "all")
    assert ran.code == 1
    prd, dev = ran.out.split("dev:")
    assert "prd:\n✓ apart" in prd
    assert "✗ apart" in dev
    suites = ET.fromstring(run(*words, "all", "-o", "junit").out)  # noqa: S314  # our own
    assert {one.get("name"): one.get("failures") for one in suites} == {
        "boundaries (prd)": "0",
        "boundaries (dev)": "1",
    }
    text = run(*words, "all", "-o", "json").out
    first, end = json.JSONDecoder().raw_decode(text)
    second = json.loads(text[end:])
    assert (first["environment"], second["environment"]) == ("prd", "dev")


def test_commands_about_one_environment_refuse_all(run: Run, checkout: str) -> None:
    ran = run("matrix", "--snapshot", checkout, "--env", "all")
    assert ran.code == 2
    assert "--env" in ran.err
