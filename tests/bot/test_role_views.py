"""A role that reads the cluster with rights of its own: who it is there, and what it is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.bootstrap.chat import build_desk, build_role_workspaces
from app.bootstrap.sources import Sources
from app.bot.access import Role
from app.bot.desk import Known, known_as
from app.config import BotSettings, FlowSettings, Settings
from app.core.diagnose.evidence import FlowEvidence
from app.core.errors import ConfigError
from app.services.picture import Picture
from app.services.workspace import Workspace
from app.testing.clock import FakeClock
from app.testing.kube_api import FakeKubeApi
from integrations.kubernetes.client import Credentials, connect


def test_other_user_is_named_with_every_request(tmp_path: Path) -> None:
    with FakeKubeApi() as api:
        config = str(api.kubeconfig(tmp_path / "config"))
        _, headers = connect(Credentials(config, user="k8tre-tui:asker")).signed("/api", {})
        assert headers["Impersonate-User"] == "k8tre-tui:asker"
        assert headers["authorization"] == "Bearer secret-token"
        _, own = connect(Credentials(config)).signed("/api", {})
        assert "Impersonate-User" not in own


def test_each_role_has_a_picture_of_its_own(tmp_path: Path) -> None:
    with FakeKubeApi() as api:
        config = str(api.kubeconfig(tmp_path / "config"))
        bot = BotSettings(team="T1", asker_as="user:k8tre-tui:asker", operator_as="context:fake")
        settings = Settings(bot=bot, flows=FlowSettings(history=False))
        found = build_role_workspaces(Sources(kubeconfig=config), settings)
        assert set(found) == {Role.ASKER, Role.OPERATOR}
        assert not found[Role.ASKER].expects_flows


@pytest.mark.parametrize("who", ["asker", "user:", "group:x"])
def test_role_that_reads_as_nobody_is_a_configuration_error(who: str) -> None:
    settings = Settings(bot=BotSettings(asker_as=who))
    with pytest.raises(ConfigError, match="nobody"):
        build_role_workspaces(Sources(context="x"), settings)


def test_files_are_read_with_no_rights() -> None:
    settings = Settings(bot=BotSettings(asker_as="user:x"))
    with pytest.raises(ConfigError, match="live"):
        build_role_workspaces(Sources(demo=True), settings)


def test_bot_without_a_workspace_does_not_start() -> None:
    with pytest.raises(ConfigError, match="pinned"):
        build_desk(Workspace([], clock=FakeClock()), Settings(), "demo")


def test_flows_of_pods_that_a_role_cannot_list_are_not_told(
    picture: Picture, flows: FlowEvidence
) -> None:
    workspace = Workspace([], clock=FakeClock())
    cluster = picture.cluster
    mirror = tuple(one for one in cluster.endpoints if one.namespace == "mirror")
    workspace._picture = replace(picture, cluster=replace(cluster, endpoints=mirror))
    known = known_as(workspace, lambda: Known(picture, flows, "demo"))()
    assert known.picture is workspace.picture
    assert known.flows is not None
    assert 0 < len(known.flows.flows) < len(flows.flows)
    namespaces = {
        end.namespace for one in known.flows.flows for end in (one.source, one.destination)
    }
    assert namespaces <= {"mirror", ""}
