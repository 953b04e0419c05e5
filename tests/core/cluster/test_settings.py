from dataclasses import replace

import pytest

from app.core.cluster.settings import apply_settings
from app.core.model.cluster import DEFAULT_CILIUM_VERSION, ClusterConfig, EnforcementMode
from app.core.model.provenance import Manifest
from tests.core.cluster.objects import build, manifest


def _agent(*containers: dict[str, str], name: str = "cilium") -> Manifest:
    spec = {"template": {"spec": {"containers": list(containers)}}}
    return manifest("DaemonSet", name, "kube-system", spec=spec)


def test_config_when_nothing_says_then_has_ciliums_defaults() -> None:
    assert build().config == ClusterConfig()


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("v1.19.7@sha256:00", (1, 19, 7)),
        ("1.18.2", (1, 18, 2)),
        ("v1.20.0-rc.1", (1, 20, 0)),
        ("latest", DEFAULT_CILIUM_VERSION),
    ],
)
def test_version_when_agents_image_has_a_tag_then_is_that(
    tag: str, version: tuple[int, int, int]
) -> None:
    agent = _agent(
        {"name": "other", "image": "x:v9.9.9"},
        {"name": "cilium-agent", "image": f"quay.io:443/cilium/cilium:{tag}"},
    )

    assert build(agent).config.cilium_version == version


def test_version_when_no_container_is_named_so_then_any_tag_counts() -> None:
    assert build(_agent({"image": "cilium:v1.18.1"})).config.cilium_version == (1, 18, 1)


def test_version_when_another_daemon_set_then_stays() -> None:
    other = _agent({"name": "cilium-agent", "image": "x:v1.17.0"}, name="cilium-envoy")

    assert build(other).config.cilium_version == DEFAULT_CILIUM_VERSION


def test_config_when_map_and_settings_differ_then_settings_win() -> None:
    written = {"cluster-name": "one", "enable-policy": "always", "enable-ipv6": True}
    config_map = manifest("ConfigMap", "cilium-config", "kube-system", data=written)

    config = build(config_map, settings={"cluster-name": "two"}).config

    assert config.cluster_name == "two"
    assert config.enforcement is EnforcementMode.ALWAYS
    assert config.dual_stack


def test_config_when_given_then_nothing_else_counts() -> None:
    given = ClusterConfig(cluster_name="given")

    assert build(config=given, settings={"cluster-name": "two"}).config is given


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"enable-policy": "odd"}, ClusterConfig()),
        ({"enable-ipv4": "false", "enable-ipv6": "true"}, ClusterConfig()),
        (
            {"policy-cidr-match-mode": "nodes, pods"},
            ClusterConfig(cidr_match_nodes=True, cidr_match_pods=True),
        ),
        (
            {"policy-default-local-cluster": "false"},
            ClusterConfig(policy_default_local_cluster=False),
        ),
        (
            {"policy-default-local-cluster": "true"},
            ClusterConfig(policy_default_local_cluster=True),
        ),
        ({"labels": "k8s:app !x"}, ClusterConfig(label_filter=("k8s:app", "!x"))),
        ({"allow-localhost": "policy"}, ClusterConfig(allow_localhost=False)),
        ({"allow-localhost": "always"}, ClusterConfig()),
        ({"enable-host-firewall": "true"}, ClusterConfig(host_firewall=True)),
        ({"policy-audit-mode": "1"}, ClusterConfig(audit_mode=True)),
        ({"enable-l7-proxy": "false"}, ClusterConfig(l7_proxy=False)),
    ],
)
def test_settings_when_set_then_change_the_configuration(
    settings: dict[str, str], expected: ClusterConfig
) -> None:
    defaults = {"local_redirect": False, "cluster_network_policy": False, "routing_mode": "tunnel"}
    known = replace(expected, **defaults)  # type: ignore[arg-type]  # the agent's own

    assert apply_settings(ClusterConfig(), settings) == known


def test_redirects_when_no_setting_was_read_then_are_not_known() -> None:
    assert apply_settings(ClusterConfig(), {}).local_redirect is None


def test_default_local_cluster_when_not_set_then_version_decides() -> None:
    assert not ClusterConfig(cilium_version=(1, 18, 9)).default_local_cluster
    assert ClusterConfig(cilium_version=(1, 19, 0)).default_local_cluster
