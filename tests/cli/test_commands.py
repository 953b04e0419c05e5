"""Every command that asks a question, over the demo and over files, in this process."""

import csv
import gzip
import io
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.cli.conftest import Ran, Run

POLICY = """\
# what a workspace may do
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: workspace
  namespace: lung
spec:
  endpointSelector:
    matchLabels: {app: jupyter}
  egress:
  - toEndpoints:
    - matchLabels: {"k8s:io.kubernetes.pod.namespace": mirror}
    toPorts:
    - ports: [{port: "8080", protocol: TCP}]
  - toFQDNs: [{matchPattern: "*.${DOMAIN}"}]
"""

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: gone
contexts: [{name: gone, context: {cluster: gone, user: me}}]
clusters: [{name: gone, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: me, user: {}}]
"""

WORKLOADS = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: jupyter, namespace: lung}
spec: {template: {metadata: {labels: {app: jupyter}}, spec: {containers: [{name: a}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: mirror, namespace: mirror}
spec:
  template:
    metadata: {labels: {app: mirror}}
    spec: {containers: [{name: a, ports: [{containerPort: 8080}]}]}
"""


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> Path:
    folder = tmp_path / "gitops"
    folder.mkdir()
    (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
    (folder / "workloads.yaml").write_text(WORKLOADS, encoding="utf-8")
    return folder


def of_files(run: Run, files: Path, *words: str) -> Ran:
    return run(words, "--snapshot", str(files), "--set", "DOMAIN=tre.example.org")


def test_policies_lists_every_object_with_file_and_line(run: Run, files: Path) -> None:
    ran = of_files(run, files, "policies", "-o", "json")
    assert ran.code == 0
    assert ran.json["schema"] == "k8tre-tui/v1"
    (item,) = ran.json["items"]
    assert (item["name"], item["namespace"], item["rules"]) == ("workspace", "lung", 2)
    assert item["file"].endswith("policy.yaml")
    assert item["line"] == 2
    assert item["selects"] == 1


def test_open_placeholder_is_an_unknown_name_and_refuses_nothing(run: Run, files: Path) -> None:
    ran = run("policies", "-o", "json", "--snapshot", str(files))
    (item,) = ran.json["items"]
    assert item["valid"] is True
    assert "${DOMAIN}" in ran.err
    ran = run("why", "sts:lung/jupyter", "kc.tre.example.org", "443", "--snapshot", str(files))
    assert ran.code == 1


def test_policies_as_table_has_one_line_each(run: Run, files: Path) -> None:
    head, line = of_files(run, files, "policies").out.splitlines()
    assert head.split()[:3] == ["KIND", "NAMESPACE", "NAME"]
    assert line.split()[:3] == ["CNP", "lung", "workspace"]


@pytest.mark.parametrize(("form", "count"), [("jsonl", 1), ("yaml", 1)])
def test_policies_in_other_forms(run: Run, files: Path, form: str, count: int) -> None:
    ran = of_files(run, files, "policies", "-o", form)
    items = ran.jsonl if form == "jsonl" else yaml.safe_load(ran.out)["items"]
    assert [item["name"] for item in items] == ["workspace"] * count


def test_namespace_narrows_and_an_empty_list_is_fine(run: Run, files: Path) -> None:
    ran = of_files(run, files, "policies", "-n", "mirror", "-o", "json")
    assert (ran.code, ran.json["items"]) == (0, [])
    ran = of_files(run, files, "policies", "-n", "mirror")
    assert (ran.code, ran.out) == (0, "")
    assert "no policies here" in ran.err


def test_one_policy_is_shown_as_a_tree(run: Run, files: Path) -> None:
    ran = of_files(run, files, "policies", "lung/workspace")
    assert ran.code == 0
    assert "on 8080/TCP" in ran.out
    assert "to name *.tre.example.org" in ran.out
    assert "lung/jupyter" in ran.out


def test_one_policy_as_yaml_is_the_object(run: Run, files: Path) -> None:
    ran = of_files(run, files, "policies", "workspace", "-o", "yaml")
    assert yaml.safe_load(ran.out)["metadata"]["name"] == "workspace"


def test_policy_that_is_not_there_names_the_nearest(run: Run, files: Path) -> None:
    ran = of_files(run, files, "policies", "workspce")
    assert ran.code == 2
    assert "did you mean `workspace`?" in ran.err


def test_endpoints_say_what_restricts_them(run: Run, files: Path) -> None:
    ran = of_files(run, files, "endpoints", "-o", "json")
    items = {item["name"]: item for item in ran.json["items"]}
    assert items["jupyter"]["egress"]["default_deny"] is True
    assert items["jupyter"]["template"] is True
    assert items["mirror"]["ingress"] == {"default_deny": False, "policies": []}


def test_one_endpoint_in_full(run: Run, files: Path) -> None:
    ran = of_files(run, files, "endpoints", "sts:lung/jupyter")
    assert ran.code == 0
    assert "CNP workspace" in ran.out
    ran = of_files(run, files, "endpoints", "sts:lung/jupyter", "-o", "json")
    assert [row["name"] for row in ran.json["policies"]] == ["workspace"]


def test_why_allowed_exits_with_0(run: Run, files: Path) -> None:
    ran = of_files(run, files, "why", "sts:lung/jupyter", "deploy:mirror/mirror", "8080")
    assert ran.code == 0
    assert ran.out.startswith("✓ ALLOWED")
    assert "policy.yaml:11" in ran.out


def test_why_denied_exits_with_1_and_cites_file_and_line(run: Run, files: Path) -> None:
    ran = of_files(run, files, "why", "sts:lung/jupyter", "deploy:mirror/mirror", "80")
    assert ran.code == 1
    assert ran.out.startswith("✗ DENIED")
    assert "policy.yaml:14" in ran.out


def test_why_in_json_has_the_nearest_rule(run: Run, files: Path) -> None:
    ran = of_files(
        run, files, "why", "sts:lung/jupyter", "deploy:mirror/mirror", "80", "-o", "json"
    )
    nearest = ran.json["egress"]["nearest"][0]
    assert nearest["failed_on"] == "port"
    assert nearest["policy"]["name"] == "workspace"


def test_why_explains_every_rule_when_asked(run: Run, files: Path) -> None:
    words = ("why", "sts:lung/jupyter", "deploy:mirror/mirror", "80")
    short, long = of_files(run, files, *words), of_files(run, files, *words, "--explain")
    assert long.out.startswith(short.out.splitlines()[0])
    assert len(long.out) > len(short.out)
    assert "Egress: denied" in long.out


@pytest.mark.parametrize(
    "words",
    [
        ("lung/jupyter", "nonsense"),
        ("lung/nobody", "mirror/mirror"),
        ("lung/jupyter", "mirror/mirror", "99999"),
        ("lung/jupyter", "mirror/mirror", "80", "--http", "GET nonsense"),
    ],
)
def test_why_of_what_is_not_there_exits_with_2(
    run: Run, files: Path, words: tuple[str, ...]
) -> None:
    ran = of_files(run, files, "why", *words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-2].startswith("k8tre-tui: ") or "k8tre-tui: " in ran.err


def test_matrix_as_csv_has_every_pair(run: Run, files: Path) -> None:
    ran = of_files(run, files, "matrix", "-o", "csv", "--from", "lung/", "--to", "mirror/")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [(row["protocol"], row["ports"], row["verdict"]) for row in rows] == [
        ("TCP", "8080", "allowed"),
        ("ANY", "others", "denied"),
    ]
    assert rows[0]["egress_by"] == "CiliumNetworkPolicy/lung/workspace"


def test_matrix_keeps_only_the_verdict_asked_for(run: Run, files: Path) -> None:
    ran = of_files(run, files, "matrix", "-o", "json", "--verdict", "denied", "-n", "lung")
    assert {item["verdict"] for item in ran.json["items"]} == {"denied"}


def test_doctor_says_what_it_found(run: Run, files: Path) -> None:
    ran = of_files(run, files, "doctor", "-o", "json")
    found = {(item["area"], item["health"]) for item in ran.json["items"]}
    assert ran.code == 0
    assert {("source", "fine"), ("objects", "fine"), ("boundaries", "missing")} <= found
    assert "✓ objects" in of_files(run, files, "doctor").out


def test_doctor_exits_with_3_when_a_source_fails(run: Run, tmp_path: Path) -> None:
    ran = run("doctor", "--kubeconfig", str(tmp_path / "none"))
    assert ran.code == 3
    assert "✗ source" in ran.out


def test_source_that_cannot_be_reached_is_one_line_and_3(run: Run, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kube.yaml"
    kubeconfig.write_text(KUBECONFIG, encoding="utf-8")
    ran = run("policies", "--kubeconfig", str(kubeconfig))
    assert ran.code == 3
    assert ran.err.startswith("k8tre-tui: ")
    assert "Traceback" not in ran.err


def test_missing_kubeconfig_is_a_wrong_setting(run: Run, tmp_path: Path) -> None:
    ran = run("policies", "--kubeconfig", str(tmp_path / "none"))
    assert ran.code == 2
    assert "--demo" in ran.err


def test_snapshot_is_read_back(run: Run, files: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml.gz"
    ran = of_files(run, files, "snapshot", "-o", str(file))
    assert (ran.code, ran.out) == (0, "")
    again = run("policies", "-o", "json", "--snapshot", str(file))
    assert [item["name"] for item in again.json["items"]] == ["workspace"]


def test_redacted_snapshot_names_nobody(run: Run, files: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    of_files(run, files, "snapshot", "-o", str(file), "--redact")
    text = file.read_text(encoding="utf-8")
    assert "jupyter" not in text
    assert "workspace" not in text


def test_conformance_judges_and_prints(run: Run, tmp_path: Path) -> None:
    case = tmp_path / "case.jsonl"
    case.write_text(
        '{"name": "empty", "config": {}, "objects": [], "queries": '
        '[{"from": "entity:world", "to": "entity:host", "port": 80, "protocol": "TCP"}], '
        '"expect": [{"verdict": "allowed"}]}\n',
        encoding="utf-8",
    )
    ran = run("conformance", str(case))
    assert (ran.code, ran.out) == (0, "1 cases, 1 verdicts, 0 disagree\n")
    case.write_text(case.read_text().replace('"allowed"', '"denied"'), encoding="utf-8")
    ran = run("conformance", str(case))
    assert ran.code == 1
    assert ran.out.splitlines()[-1] == "1 cases, 1 verdicts, 1 disagree"
    printed = run("conformance", "--print", str(case))
    assert printed.jsonl[0]["expect"][0]["verdict"] == "allowed"


def test_demo_needs_nothing(run: Run) -> None:
    ran = run("policies", "--demo", "-o", "json")
    assert ran.code == 0
    assert len(ran.json["items"]) >= 25
    assert all(item["file"] for item in ran.json["items"])


def test_demo_flows_take_the_filters_of_hubble_observe(run: Run) -> None:
    ran = run("flows", "--demo", "--verdict", "DROPPED", "--last", "3", "-o", "json")
    flows = [line["flow"] for line in ran.jsonl if "flow" in line]
    assert ran.code == 0
    assert [flow["verdict"] for flow in flows] == ["DROPPED"] * 3
    ran = run("flows", "--demo", "--not", "--verdict", "FORWARDED", "--last", "50", "-o", "jsonl")
    assert "FORWARDED" not in {line["flow"]["verdict"] for line in ran.jsonl if "flow" in line}


def test_flows_as_a_table_has_signs_and_ends(run: Run) -> None:
    lines = run("flows", "--demo", "--verdict", "DROPPED", "--last", "3").out.splitlines()
    assert lines[0].startswith("TIME")
    assert all("✗ DROPPED" in line and " → " in line for line in lines[1:])


def test_wrong_filter_is_refused_in_one_line(run: Run) -> None:
    ran = run("flows", "--demo", "--verdict", "DROPED")
    assert ran.code == 2
    assert "DROPPED" in ran.err


def test_why_over_the_demo_shows_the_drops_seen(run: Run) -> None:
    ran = run("why", "project-lung/jupyter-alice", "svc:mirror/mirror:80", "--demo", "-o", "json")
    assert ran.code == 1
    assert ran.json["cause"]["code"] == "service-port-not-target-port"
    assert ran.json["cause"]["file"].endswith("workspace.yaml")
    assert [one["kind"] for one in ran.json["evidence"]].count("flow") >= 1


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(name="checkout")
def _checkout(files: Path) -> Path:
    git(files, "init", "--quiet", "--initial-branch=main")
    git(files, "add", ".")
    git(files, "commit", "--quiet", "-m", "start")
    return files


DENIED = ("sts:lung/jupyter", "deploy:mirror/mirror", "8443")


def test_draft_shows_the_change_and_puts_it_on_a_branch(run: Run, checkout: Path) -> None:
    ran = of_files(run, checkout, "draft", *DENIED)
    assert ran.code == 0
    assert "+" in ran.out
    assert "8443" in ran.out
    branch = ran.out.rpartition("Branch     ")[2].split()[0]
    assert "8443" in git(checkout, "show", f"{branch}:policy.yaml")
    assert "8443" not in (checkout / "policy.yaml").read_text(encoding="utf-8")
    assert "# what a workspace may do" in git(checkout, "show", f"{branch}:policy.yaml")


def test_draft_that_is_only_shown_writes_nothing(run: Run, checkout: Path) -> None:
    ran = of_files(run, checkout, "draft", *DENIED, "--dry-run", "-o", "json")
    assert ran.code == 0
    assert ran.json["schema"] == "k8tre-tui/v1"
    assert ran.json["branch"] is None
    assert ran.json["files"] == ["policy.yaml"]
    assert "8443" in ran.json["patch"]
    assert git(checkout, "branch", "--list").split() == ["*", "main"]


def test_why_as_data_gives_the_patch_that_draft_shows(run: Run, checkout: Path) -> None:
    drafted = of_files(run, checkout, "draft", *DENIED, "--dry-run", "-o", "json")
    fixes = of_files(run, checkout, "why", *DENIED, "-o", "json").json["fixes"]
    assert fixes[0]["patch"] == drafted.json["patch"]
    assert all(fix["patch"] for fix in fixes)


def test_why_as_data_of_a_file_that_cannot_be_edited_has_no_patch(run: Run, files: Path) -> None:
    (files / "policy.yaml.gz").write_bytes(gzip.compress(POLICY.encode()))
    (files / "policy.yaml").unlink()
    ran = of_files(run, files, "why", *DENIED, "-o", "json")
    assert ran.code == 1
    assert [fix["patch"] for fix in ran.json["fixes"]] == [None] * len(ran.json["fixes"])


def test_draft_without_a_repository_is_shown_and_said(run: Run, files: Path) -> None:
    ran = of_files(run, files, "draft", *DENIED)
    assert ran.code == 0
    assert "no git repository" in ran.err
    assert of_files(run, files, "draft", *DENIED, "--branch").code == 1


def test_draft_of_what_is_allowed_is_refused(run: Run, checkout: Path) -> None:
    ran = of_files(run, checkout, "draft", "sts:lung/jupyter", "deploy:mirror/mirror", "8080")
    assert ran.code == 1
    assert ran.err.startswith("k8tre-tui: ")


def test_pull_request_without_a_token_is_a_wrong_setting(
    run: Run, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_TOKEN", "K8TRE_TUI_GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    ran = of_files(run, checkout, "draft", *DENIED, "--pr")
    assert ran.code == 2
    assert "K8TRE_TUI_GITHUB_TOKEN" in ran.err


def test_draft_over_the_demo_needs_no_repository(run: Run) -> None:
    ran = run("draft", "project-lung/jupyter-alice", "svc:mirror/mirror:80", "--demo")
    assert ran.code == 0
    assert "gitops/projects/lung/workspace.yaml" in ran.out


def test_rights_are_a_live_cluster_s_only(run: Run) -> None:
    ran = run("doctor", "--can-i", "--demo")
    assert (ran.code, ran.out) == (0, "")
    assert "only a live cluster" in ran.err


def test_matrix_as_table_has_signs(run: Run, files: Path) -> None:
    ran = of_files(run, files, "matrix", "--from", "lung/", "--to", "mirror/")
    assert "✓ allowed" in ran.out
    assert "✗ denied" in ran.out
    ran = of_files(run, files, "matrix", "--from", "nobody")
    assert (ran.code, ran.out) == (0, "")
    assert "no such pair" in ran.err


def test_flows_of_a_file_are_written_as_hubble_writes_them(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "flows.jsonl"
    recorded = run("flows", "--demo", "--last", "30", "-o", "json").out
    file.write_text(f"{recorded}nonsense\n", encoding="utf-8")
    ran = run("flows", "--flows", str(file), "-o", "json")
    assert sorted(ran.out.splitlines()) == sorted(recorded.splitlines())
    assert "1 lines could not be read" in ran.err


def test_filter_in_words_narrows_flows(run: Run, tmp_path: Path) -> None:
    ran = run("flows", "--demo", "--all", "verdict:dropped", "to:mirror", "-o", "jsonl")
    flows = [line["flow"] for line in ran.jsonl if "flow" in line]
    assert flows
    assert {flow["verdict"] for flow in flows} == {"DROPPED"}
    assert {flow["destination"]["namespace"] for flow in flows} == {"mirror"}


def test_flows_that_do_not_exist_are_said(run: Run, files: Path) -> None:
    ran = run("flows", "--demo", "--to-port", "1")
    assert (ran.code, ran.out, ran.err) == (0, "", "no flow matches\n")
    ran = of_files(run, files, "flows")
    assert (ran.code, ran.out) == (0, "")
    assert "--flows FILE" in ran.err


def test_flows_in_yaml_are_a_list(run: Run) -> None:
    ran = run("flows", "--demo", "--last", "2", "--to-port", "8080", "-o", "yaml")
    assert all("flow" in item or "node_status" in item for item in yaml.safe_load(ran.out))


def test_relay_that_does_not_answer_is_named(run: Run) -> None:
    ran = run("flows", "--hubble-address", "127.0.0.1:1")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("k8tre-tui: hubble: ")


def test_plain_pod_name_takes_the_namespace_given(run: Run, files: Path) -> None:
    ran = of_files(
        run, files, "why", "jupyter", "deploy:mirror/mirror", "8080", "-n", "lung", "-o", "json"
    )
    assert ran.json["question"]["from"] == "lung/jupyter"


BOUNDARIES = """\
[[boundary]]
name = "mirror-is-reached"
from = "sts:lung/jupyter"
to = "deploy:mirror/mirror"
ports = ["8080"]
must = "allow"

[[boundary]]
name = "nobody-else"
from = "sts:lung/jupyter"
to = "ip:192.0.2.1"
must = "deny"
why = "no way out"
"""

WIDE = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: wide, namespace: lung}
spec: {endpointSelector: {}, egress: [{toEntities: [world]}]}
"""


NOBODY = "endpointSelector: {matchLabels: {app: not-there}}"


@pytest.fixture(name="boundaries")
def _boundaries(tmp_path: Path) -> str:
    path = tmp_path / "boundaries.toml"
    path.write_text(BOUNDARIES, encoding="utf-8")
    return str(path)


def test_check_of_boundaries_that_hold(run: Run, files: Path, boundaries: str) -> None:
    ran = of_files(run, files, "check", boundaries)
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "2 boundaries, 0 broken"


def test_check_names_pair_rule_and_file_of_what_breaks(
    run: Run, files: Path, boundaries: str
) -> None:
    (files / "wide.yaml").write_text(WIDE, encoding="utf-8")
    ran = of_files(run, files, "check", boundaries)
    assert ran.code == 1
    assert "✗ nobody-else" in ran.out
    assert "lung/jupyter → 192.0.2.1" in ran.out
    assert "wide.yaml:4" in ran.out
    form = of_files(run, files, "check", boundaries, "-o", "json").json
    assert [item["holds"] for item in form["items"]] == [True, False]
    assert form["items"][1]["breaches"][0]["rules"][0]["policy"]["name"] == "wide"


def test_check_writes_junit(run: Run, files: Path, boundaries: str) -> None:
    (files / "wide.yaml").write_text(WIDE, encoding="utf-8")
    ran = of_files(run, files, "check", boundaries, "-o", "junit")
    suite = ET.fromstring(ran.out)  # noqa: S314  # our own output
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = suite.find("testcase[@name='nobody-else']/failure")
    assert failure is not None
    assert "no way out" in str(failure.text)


def test_name_that_a_rule_opens_breaks_a_boundary_to_the_world(
    run: Run, files: Path, tmp_path: Path
) -> None:
    file = tmp_path / "world.toml"
    file.write_text(BOUNDARIES.replace("ip:192.0.2.1", "entity:world"), encoding="utf-8")
    ran = of_files(run, files, "check", str(file))
    assert ran.code == 1
    assert "(names of the pattern `*.tre.example.org`) is allowed: CNP workspace" in ran.out
    form = of_files(run, files, "check", str(file), "-o", "json").json
    breach = form["items"][1]["breaches"][0]
    assert breach["to"] == "fqdn:any.tre.example.org"
    assert breach["outside"] == "names of the pattern `*.tre.example.org`"


def test_change_to_a_policy_of_nobody_has_no_known_effect(
    run: Run, files: Path, tmp_path: Path
) -> None:
    draft = tmp_path / "draft.yaml"
    draft.write_text(WIDE.replace("endpointSelector: {}", NOBODY), encoding="utf-8")
    ran = of_files(run, files, "what-if", "-f", str(draft))
    assert "newly allowed: not known" in ran.out
    assert "CiliumNetworkPolicy/lung/wide selects no endpoint that is known here" in ran.out
    form = of_files(run, files, "what-if", "-f", str(draft), "-o", "json").json
    assert (form["newly_allowed"], form["newly_denied"]) == (None, None)
    assert len(form["unknown"]) == 1


def test_check_without_boundaries_is_refused(run: Run, files: Path, tmp_path: Path) -> None:
    assert of_files(run, files, "check").code == 2
    assert of_files(run, files, "check", str(tmp_path / "none.toml")).code == 2


def test_demo_has_boundaries_of_its_own(run: Run) -> None:
    assert "boundaries" in run("check", "--demo").out.splitlines()[-1]


def test_what_if_says_what_a_draft_opens(run: Run, files: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft.yaml"
    draft.write_text(WIDE, encoding="utf-8")
    ran = of_files(run, files, "what-if", "-f", str(draft))
    assert ran.code == 0
    assert "+ sts:lung/jupyter → entity:world TCP *" in ran.out
    form = of_files(run, files, "what-if", "-f", str(draft), "-o", "json").json
    assert {"newly_allowed", "newly_denied", "flows", "checks", "lint"} <= set(form)
    assert form["schema"] == "k8tre-tui/v1"
    assert form["flows"] is None
    opened = form["newly_allowed"][0]
    assert {"from", "to", "port", "protocol"} <= set(opened)
    assert (opened["from_count"], opened["to_count"], opened["outside"]) == (1, 1, None)


def test_what_if_that_breaks_a_boundary_exits_with_1(
    run: Run, files: Path, tmp_path: Path, boundaries: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K8TRE_TUI_CHECK_BOUNDARIES", boundaries)
    draft = tmp_path / "draft.yaml"
    draft.write_text(WIDE, encoding="utf-8")
    ran = of_files(run, files, "what-if", "-f", str(draft))
    assert ran.code == 1
    assert "✗ nobody-else: would break" in ran.out


def test_what_if_without_a_policy(run: Run, files: Path) -> None:
    ran = of_files(run, files, "what-if", "--delete", "workspace")
    assert ran.code == 0
    assert "newly allowed" in ran.out
    assert of_files(run, files, "what-if", "--delete", "nothing").code == 2
    assert of_files(run, files, "what-if").code == 2


def test_what_if_with_flows_asks_them_again(run: Run) -> None:
    form = run("what-if", "--delete", "CNP/project-lung/workspace", "--demo", "-o", "json").json
    assert form["flows"]["seen"] > 0
    assert form["flows"]["newly_allowed"] > 0


def test_draft_reports_its_effect_as_data(run: Run, checkout: Path) -> None:
    form = of_files(run, checkout, "draft", *DENIED, "--dry-run", "-o", "json").json
    assert {"newly_allowed", "newly_denied", "flows", "checks", "lint"} <= set(form)
    assert {"from": "sts:lung/jupyter", "to": "deploy:mirror/mirror"}.items() <= form[
        "newly_allowed"
    ][0].items()


def test_draft_that_breaks_a_boundary_is_refused(
    run: Run, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "b.toml"
    path.write_text(
        BOUNDARIES.replace('"8080"', '"8443"').replace('"allow"', '"deny"'), encoding="utf-8"
    )
    monkeypatch.setenv("K8TRE_TUI_CHECK_BOUNDARIES", str(path))
    ran = of_files(run, checkout, "draft", *DENIED)
    assert (ran.code, ran.out) == (1, "")
    assert "mirror-is-reached" in ran.err
    ran = of_files(run, checkout, "why", *DENIED)
    assert "none offered" in ran.out


@pytest.mark.parametrize("command", ["policies", "endpoints", "matrix"])
def test_namespace_that_is_not_there_is_an_error(run: Run, files: Path, command: str) -> None:
    ran = of_files(run, files, command, "-n", "lungg")
    assert ran.code == 2
    assert "no such namespace: `lungg`" in ran.err
    assert "did you mean `lung`?" in ran.err


def test_pod_in_a_namespace_that_nothing_is_in_is_no_certain_answer(run: Run, files: Path) -> None:
    ran = of_files(run, files, "why", "label:lungg/app=x", "label:lungg/app=y", "80", "-o", "json")
    assert ran.json["cause"]["confidence"] == "likely"
    assert any("namespace lungg is there" in one for one in ran.json["not_known"])
