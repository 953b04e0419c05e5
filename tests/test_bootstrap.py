import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from app.bootstrap.drafts import build_checkout
from app.bootstrap.flows import build_flow_sources, build_history
from app.bootstrap.sources import (
    GITEA_TOKEN,
    GITHUB_APP_KEY,
    GITHUB_TOKEN,
    GITLAB_TOKEN,
    Sources,
    SystemClock,
    has_sources,
    look_around,
    parse_sets,
    redaction_key,
)
from app.bootstrap.workspace import build_workspace
from app.config import (
    ClusterSettings,
    FlowSettings,
    HubbleSettings,
    Loaded,
    RepoSettings,
    Settings,
)
from app.core.errors import ConfigError, DraftRejected, UsageError
from app.ports import FlowRequest
from integrations.git.gitea import Gitea
from integrations.git.github import GitHub
from integrations.git.gitlab import GitLab
from integrations.git.local import LocalGit
from integrations.history.clickhouse import ClickHouseHistory

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "prod",
    "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {}}],
}


@pytest.fixture(name="kubeconfig")
def _kubeconfig(tmp_path: Path) -> str:
    path = tmp_path / "kube.yaml"
    path.write_text(json.dumps(KUBECONFIG), encoding="utf-8")
    return str(path)


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "gitops"
    (folder / "apps").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


NO_HISTORY = FlowSettings(history=False)


def sources_of(sources: Sources, settings: Settings | None = None) -> list[str]:
    workspace = build_workspace(sources, settings or Settings(flows=NO_HISTORY))
    return list(workspace.source_names())


@pytest.mark.parametrize(
    ("sources", "title"),
    [
        (Sources(demo=True), "demo"),
        (Sources(snapshots=("a", "b")), "a, b"),
        (Sources(snapshots=("a",), context="prod"), "prod"),
        (Sources(), "current context"),
    ],
)
def test_sources_have_a_title(sources: Sources, title: str) -> None:
    assert sources.title == title


def test_demo_has_objects_and_flows_of_its_own() -> None:
    assert sources_of(Sources(demo=True)) == ["demo", "demo flows"]


def test_snapshot_has_no_flows_unless_a_recording_is_named() -> None:
    assert sources_of(Sources(snapshots=("a", "b"))) == ["a, b"]
    assert sources_of(Sources(snapshots=("a",), flows="/x/events.log")) == ["a", "events.log"]
    assert sources_of(Sources(snapshots=("a",), hubble_address="relay:80")) == ["a", "hubble"]


def test_nothing_named_means_the_live_cluster_and_its_relay(kubeconfig: str) -> None:
    sources = Sources(kubeconfig=kubeconfig, context="prod")
    assert sources.live_objects
    assert Sources().live_objects
    assert sources_of(sources) == ["prod", "hubble"]


def test_cluster_with_a_checkout_is_one_reader(kubeconfig: str, checkout: Path) -> None:
    both = Sources(kubeconfig=kubeconfig, context="prod", snapshots=(str(checkout),))
    assert sources_of(both) == ["prod", "hubble"]
    settings = Settings(repo=RepoSettings(path=str(checkout)), flows=NO_HISTORY)
    assert sources_of(Sources(kubeconfig=kubeconfig, context="prod"), settings) == [
        "prod",
        "hubble",
    ]


def test_settings_name_cluster_and_relay_too(kubeconfig: str) -> None:
    settings = Settings(
        cluster=ClusterSettings(kubeconfig=kubeconfig, context="prod", cilium_version="1.18.2"),
        hubble=HubbleSettings(address="tls://relay:443"),
        flows=NO_HISTORY,
    )
    assert sources_of(Sources(), settings) == ["prod", "hubble"]


@pytest.mark.parametrize(
    ("sources", "environ", "found"),
    [
        (Sources(), {}, False),
        (Sources(demo=True), {}, True),
        (Sources(snapshots=("a",)), {}, True),
        (Sources(kubeconfig="x"), {}, True),
        (Sources(), {"KUBECONFIG": "x"}, True),
        (Sources(), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True),
    ],
)
def test_first_start_without_a_cluster_is_seen_at_once(
    sources: Sources,
    environ: dict[str, str],
    *,
    found: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert has_sources(sources, Settings(), environ) is found


def test_wrong_version_is_refused_before_anything_is_read() -> None:
    with pytest.raises(UsageError):
        build_workspace(Sources(demo=True, cilium_version="newest"), Settings())


async def test_flows_of_relay_are_kept_in_clickhouse_where_a_site_has_one() -> None:
    settings = Settings(flows=FlowSettings(clickhouse="http://127.0.0.1:1"))
    live = Sources(hubble_address="relay:80")
    history = build_history(live, settings, {"CLICKHOUSE_PASSWORD": "s3cret"})
    assert isinstance(history, ClickHouseHistory)
    await history.close()


async def test_flows_of_relay_are_kept_on_disk_unless_switched_off(tmp_path: Path) -> None:
    live = Sources(hubble_address="relay:80")
    kept = Settings(flows=FlowSettings(history_folder=str(tmp_path / "flows")))
    history = build_history(live, kept)
    assert history is not None
    await history.close()
    assert (tmp_path / "flows" / "relay_80").is_dir()
    assert build_history(live, Settings(flows=NO_HISTORY)) is None
    for other in (Sources(demo=True), Sources(flows="f"), Sources(snapshots=("a",))):
        assert build_history(other, kept) is None


def test_command_without_flows_opens_no_history(tmp_path: Path, kubeconfig: str) -> None:
    kept = Settings(flows=FlowSettings(history_folder=str(tmp_path / "flows")))
    workspace = build_workspace(Sources(kubeconfig=kubeconfig), kept, flows=False)
    assert not workspace.expects_flows
    assert not (tmp_path / "flows").exists()


async def test_recorded_flows_are_written_as_they_pass(tmp_path: Path) -> None:
    file = tmp_path / "flows.jsonl"
    sources = Sources(demo=True, record=str(file))
    (source,) = build_flow_sources(sources, Settings(), follow=False)
    passed = 0
    async for item in source.flows(FlowRequest(follow=False, last=3)):
        passed += len(getattr(item, "flows", ()))
    again = Sources(replay=str(file))
    (recording,) = build_flow_sources(again, Settings(), follow=False)
    read = 0
    async for item in recording.flows(FlowRequest(follow=False)):
        read += len(getattr(item, "flows", ()))
    assert passed == read == 3


def test_replay_is_played_where_flows_are_followed(tmp_path: Path) -> None:
    sources = Sources(snapshots=("a",), replay=str(tmp_path / "r.jsonl"))
    names = [
        build_flow_sources(sources, Settings(), follow=follow)[0].name for follow in (True, False)
    ]
    assert names == ["replay of r.jsonl", "r.jsonl"]


def test_sets_are_pairs() -> None:
    assert parse_sets(("A=1", "B=x=y", "C=")) == {"A": "1", "B": "x=y", "C": ""}


def test_checkout_of_a_repository_takes_drafts(checkout: Path) -> None:
    found = build_checkout(
        Sources(snapshots=(str(checkout / "apps"),)), Settings(), {}, pull_request=False
    )
    assert found.writable
    assert found.repo.name == str(checkout.resolve())
    assert found.place(str(checkout / "apps" / "a.yaml")) == "apps/a.yaml"
    with pytest.raises(DraftRejected):
        found.place("/etc/passwd")


def test_folder_without_repository_only_shows_drafts(tmp_path: Path) -> None:
    found = build_checkout(Sources(snapshots=(str(tmp_path),)), Settings(), {}, pull_request=False)
    assert not found.writable
    assert found.place(str(tmp_path / "a.yaml")) == "a.yaml"


def test_demo_only_shows_drafts() -> None:
    found = build_checkout(Sources(demo=True), Settings(), {}, pull_request=False)
    assert not found.writable
    assert found.place("gitops/a.yaml") == "gitops/a.yaml"


def test_pull_request_wants_a_token_and_a_repository(checkout: Path) -> None:
    sources = Sources(snapshots=(str(checkout),))
    named = Settings(repo=RepoSettings(github="tre/gitops"))
    token = {GITHUB_TOKEN[0]: "hunter2"}
    for settings, environ in ((named, {}), (Settings(), token)):
        with pytest.raises(ConfigError):
            build_checkout(sources, settings, environ, pull_request=True)
    found = build_checkout(sources, named, token, pull_request=True)
    assert (found.repo.name, found.writable) == ("tre/gitops", True)


def test_pull_request_goes_to_the_gitea_that_is_named(checkout: Path) -> None:
    sources = Sources(snapshots=(str(checkout),))
    repo = RepoSettings(gitea="tre/policies", gitea_url="https://git.example.org")
    token = {GITEA_TOKEN[0]: "hunter2"}
    found = build_checkout(sources, Settings(repo=repo), token, pull_request=True)
    assert isinstance(found.repo, Gitea)
    assert found.repo.name == "tre/policies"
    for lacking, environ in ((repo, {}), (replace(repo, gitea_url=""), token)):
        with pytest.raises(ConfigError):
            build_checkout(sources, Settings(repo=lacking), environ, pull_request=True)


def test_pull_request_of_the_demo_has_nowhere_to_go() -> None:
    with pytest.raises(ConfigError, match="no forge"):
        build_checkout(Sources(demo=True), Settings(), {}, pull_request=True)


def test_drafts_of_a_cluster_without_a_checkout_have_nowhere_to_go() -> None:
    with pytest.raises(ConfigError) as caught:
        build_checkout(Sources(), Settings(), {}, pull_request=False)
    assert "repo.path" in caught.value.hint


def test_surroundings_name_where_credentials_are_and_never_show_them(checkout: Path) -> None:
    loaded = Loaded(Settings(), {}, None)
    environ = {"GITHUB_TOKEN": "hunter2"}
    found = look_around(Sources(snapshots=(str(checkout),)), loaded, environ)
    assert found.repo == str(checkout)
    assert [(purpose, origin) for purpose, origin, _ in found.secrets] == [
        ("github", "GITHUB_TOKEN"),
        ("slack", ""),
    ]
    assert "hunter2" not in repr(found)


def test_aliases_follow_the_key_where_one_is_given() -> None:
    named = {"K8TRE_TUI_REDACT_KEY": "a long pass phrase that is longer than thirty-two bytes"}
    assert redaction_key(named) == redaction_key(named)
    assert redaction_key({}) != redaction_key({})
    assert len(redaction_key(named)) == len(redaction_key({})) == 32


def test_clock_goes_forward() -> None:
    clock = SystemClock()
    assert clock.now_ns() > 1_700_000_000_000_000_000
    assert clock.monotonic() <= clock.monotonic()


def test_pull_request_goes_to_gitlab_an_app_or_a_bare_repository(checkout: Path) -> None:
    sources = Sources(snapshots=(str(checkout),))
    places: tuple[tuple[RepoSettings, dict[str, str], type], ...] = (
        (RepoSettings(gitlab="tre/env/gitops"), {GITLAB_TOKEN[0]: "t"}, GitLab),
        (RepoSettings(github="a/b", github_app="Iv1"), {GITHUB_APP_KEY[0]: "k"}, GitHub),
        (RepoSettings(remote=str(checkout)), {}, LocalGit),
    )
    for repo, environ, kind in places:
        found = build_checkout(sources, Settings(repo=repo), environ, pull_request=True)
        assert isinstance(found.repo, kind)
