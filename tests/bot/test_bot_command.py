"""`k8tre-tui bot` from the command line."""

import io

import pytest

from app.cli import main


def test_demo_answers_at_a_prompt_without_slack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    question = "/netpol why-blocked project-lung/jupyter-alice svc:mirror/mirror:80\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(question))
    assert main(["bot", "--demo"]) == 0
    told = capsys.readouterr().out
    assert "service-port-not-target-port" in told
    assert "gitops/projects/lung/workspace.yaml:23" in told


def test_missing_token_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SLACK_BOT_TOKEN", "K8TRE_TUI_SLACK_BOT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert main(["bot", "--snapshot", "integrations/demo/gitops"]) == 2
    assert "K8TRE_TUI_SLACK_BOT_TOKEN" in capsys.readouterr().err
