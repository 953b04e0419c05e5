"""`lint` on files: what is found, in every form, and what is left out."""

import io
import json
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from app.cli.lintdocs import lint_page
from app.core.lint.registry import RULES
from tests.cli.conftest import Ran, Run

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "tests" / "cases" / "lint" / "sarif-schema-2.1.0.trimmed.json"

POLICY = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: mirror
  namespace: lung
spec:
  endpointSelector:
    matchLabels: {app: jupyter}
  egress:
  - toFQDNs:
    - matchName: pypi.org
  - toPorts:
    - ports: [{port: "443", protocol: TCP}]
  - toEndpoints:
    - matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system}
    toPorts:
    - ports: [{port: "53", protocol: ANY}]
      rules: {dns: [{matchName: pypi.org}]}
"""

HEADER = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: lung}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
  - fromEntities: [cluster]
    toPorts:
    - ports: [{port: "80", protocol: TCP}]
      rules:
        http:
        - headers: ["X-Token:42"]  # the gateway's
"""

PAGE = f"""\
# How to

Text with `code`.

1. In a list:

   ```yaml
{"".join(f"   {line}" + chr(10) for line in POLICY.splitlines())}   ```

```python
kind = "CiliumNetworkPolicy"
```
"""


@pytest.fixture(name="policy")
def _policy(tmp_path: Path) -> Path:
    folder = tmp_path / "gitops"
    folder.mkdir()
    file = folder / "policy.yaml"
    file.write_text(POLICY)
    return file


def _codes(ran: Ran) -> list[str]:
    return [one["code"] for one in ran.json["items"]]


def test_table_shows_the_line_with_a_caret_and_the_sum(run: Run, policy: Path) -> None:
    ran = run("lint", str(policy.parent))
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0] == str(policy)
    assert "12: ✗ error" in lines[1]
    assert "NP003 fqdn-and-port-in-separate-rules" in lines[1]
    assert lines[2:4] == ["    |   - toPorts:", "    |     ^"]
    assert lines[-1].startswith("1 error in 1 policy")


def test_json_is_the_form_of_the_contract(run: Run, policy: Path) -> None:
    (finding,) = run("lint", str(policy.parent), "-o", "json").json["items"]
    assert finding["policy"] == {
        "kind": "CiliumNetworkPolicy",
        "namespace": "lung",
        "name": "mirror",
    }
    assert (finding["code"], finding["severity"], finding["line"]) == ("NP003", "error", 12)
    assert finding["path"] == "spec.egress[1]"
    assert {"name", "summary", "why", "fix", "patch", "file"} <= set(finding)


def test_exit_code_follows_fail_on(run: Run, policy: Path) -> None:
    policy.write_text(HEADER.replace('headers: ["X-Token:42"]', "host: a.b"))
    assert run("lint", str(policy.parent)).code == 0
    assert run("lint", str(policy.parent), "--fail-on", "info").code == 1
    assert run("lint", str(policy.parent), "--fail-on", "never").code == 0


def test_select_and_ignore_take_codes_beginnings_and_names(run: Run, policy: Path) -> None:
    where = str(policy.parent)
    assert _codes(run("lint", where, "-o", "json", "--select", "NP00")) == ["NP003"]
    assert _codes(run("lint", where, "-o", "json", "--select", "NP1")) == []
    ignored = run("lint", where, "-o", "json", "--ignore", "fqdn-and-port-in-separate-rules")
    assert _codes(ignored) == []
    assert run("lint", where, "--select", "NP999").code == 2


def test_annotation_silences_with_a_reason_only(run: Run, policy: Path) -> None:
    silent = POLICY.replace(
        "  namespace: lung\n",
        "  namespace: lung\n  annotations:\n    k8tre-tui/ignore: NP003 until it is there\n",
    )
    policy.write_text(silent)
    ran = run("lint", str(policy.parent))
    assert ran.code == 0
    assert "1 silenced" in ran.out
    policy.write_text(silent.replace(" until it is there", ""))
    assert _codes(run("lint", str(policy.parent), "-o", "json")) == ["NP000", "NP003"]


def test_settings_silence_with_a_reason(run: Run, policy: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('[lint]\nNP003 = "known"\n')
    assert run("lint", str(policy.parent), "--config", str(settings)).code == 0


def test_markdown_blocks_are_judged_with_their_line(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(PAGE)
    (finding,) = run("lint", str(page), "-o", "json").json["items"]
    assert finding["code"] == "NP003"
    assert PAGE.splitlines()[finding["line"] - 1].strip() == "- toPorts:"


def test_block_of_a_page_is_judged_with_the_others_of_the_page(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    names = POLICY.partition("  - toPorts")[0]
    page.write_text(f"```yaml\n{names}```\n")
    assert _codes(run("lint", str(page), "-o", "json")) == ["NP001"]
    page.write_text(f"```yaml\n{names}```\n\n```yaml\n{DNS}```\n")
    assert _codes(run("lint", str(page), "-o", "json")) == []


def test_pages_of_a_folder_are_judged_too(run: Run, policy: Path) -> None:
    (policy.parent / "notes.md").write_text(PAGE)
    ran = run("lint", str(policy.parent), "-o", "json")
    assert [Path(one["file"]).name for one in ran.json["items"]] == ["notes.md", "policy.yaml"]


def test_standard_input_stands_for_a_file(
    run: Run, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(HEADER))
    ran = run("lint", "-", "--stdin-filename", str(policy), "-o", "json")
    assert _codes(ran) == ["NP123"]
    assert ran.json["items"][0]["file"] == str(policy)


def test_standard_input_that_is_no_yaml_is_bad_input(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("kind: [CiliumNetworkPolicy\n"))
    assert run("lint", "-").code == 2


def _validated(text: str) -> Any:
    log = json.loads(text)
    jsonschema.validate(log, json.loads(SCHEMA.read_text()))
    return log


def test_sarif_fits_its_schema(run: Run, policy: Path) -> None:
    policy.write_text(
        POLICY.replace(
            "  namespace: lung\n",
            "  namespace: lung\n  annotations: {k8tre-tui/ignore: NP003 for now}\n",
        )
        + "---\n"
        + HEADER
    )
    (one,) = _validated(run("lint", str(policy.parent), "-o", "sarif").out)["runs"]
    assert [result["ruleId"] for result in one["results"]] == ["NP123", "NP003"]
    assert one["results"][1]["suppressions"][0]["justification"] == "for now"
    place = one["results"][0]["locations"][0]["physicalLocation"]
    assert place["region"]["startLine"] == POLICY.count("\n") + 1 + 1 + 12


def test_sarif_schema_can_refuse(run: Run, policy: Path) -> None:
    log = _validated(run("lint", str(policy.parent), "-o", "sarif").out)
    log["runs"][0]["results"][0]["level"] = "terrible"
    with pytest.raises(jsonschema.ValidationError):
        _validated(json.dumps(log))


def test_github_annotations_escape_what_they_carry(run: Run, policy: Path) -> None:
    out = run("lint", str(policy.parent), "-o", "github").out
    assert out.startswith(f"::error file={policy},line=12,title=NP003 fqdn-and-port-in-")
    assert out.count("\n") == 1


def test_junit_has_a_failure_for_each_finding(run: Run, policy: Path) -> None:
    out = run("lint", str(policy.parent), "-o", "junit").out
    suite = ET.fromstring(out)  # noqa: S314  # our own output
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")


def test_baseline_leaves_old_findings_out_though_lines_move(run: Run, policy: Path) -> None:
    baseline = str(policy.parent / "baseline.json")
    assert run("lint", str(policy.parent), "--write-baseline", baseline).code == 0
    policy.write_text("# moved\n" + POLICY)
    assert run("lint", str(policy.parent), "--baseline", baseline).code == 0
    policy.write_text(POLICY + "---\n" + HEADER)
    ran = run("lint", str(policy.parent), "--baseline", baseline, "-o", "json")
    assert _codes(ran) == ["NP123"]
    (policy.parent / "baseline.json").write_text('{"findings": 3}')
    assert run("lint", str(policy.parent), "--baseline", baseline).code == 2


def _git(folder: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def test_diff_tells_only_what_is_new_since_a_revision(run: Run, policy: Path) -> None:
    folder = policy.parent
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qm", "one")
    policy.write_text("# moved\n" + POLICY)
    (folder / "web.yaml").write_text(HEADER)
    assert _codes(run("lint", str(folder), "--diff", "HEAD", "-o", "json")) == ["NP123"]
    assert _codes(run("lint", str(policy), "--diff", "HEAD", "-o", "json")) == []
    assert run("lint", str(folder), "--diff", "nowhere").code == 3


DNS = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: dns, namespace: lung}
spec:
  endpointSelector: {}
  egress:
  - toEndpoints:
    - matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system}
    toPorts:
    - ports: [{port: "53", protocol: ANY}]
      rules: {dns: [{matchPattern: "*"}]}
"""


def test_file_of_a_checkout_is_judged_with_the_rest_of_it(run: Run, policy: Path) -> None:
    folder = policy.parent
    policy.write_text(POLICY.partition("  - toPorts")[0])
    assert _codes(run("lint", str(policy), "-o", "json")) == ["NP001"]
    (folder / "dns.yaml").write_text(DNS)
    _git(folder, "init", "-q")
    assert _codes(run("lint", str(policy), "-o", "json")) == []


def test_fix_mends_what_is_certain_and_no_other_byte(run: Run, policy: Path) -> None:
    policy.write_text(HEADER)
    ran = run("lint", str(policy.parent), "--fix")
    assert ran.code == 0
    assert policy.read_text() == HEADER.replace("X-Token:42", "X-Token: 42")
    assert "fixed NP123" in ran.err
    assert "selects no endpoint that is known here" in ran.err


MISTAKES = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: web
  namespace: a
spec:
  endpointSelector:
    matchLabels: {app: web}
  ingress:
  - fromEndpoints:
    - matchLabels:
        kubernetes.io/metadata.name: ci  # the builders
  - fromEndpoints:
    - matchExpressions:
      - {key: "k8s:kubernetes.io/metadata.name", operator: In, values: [cd]}
    toPorts:
    - ports:
      - port: "80"
      rules:
        http: [{method: GET}]
  egress:
  - toFQDNs:  # the mirror
    - matchName: pypi.org
  # https only
  - toPorts:
    - ports:
      - port: "443"  # TLS
        protocol: TCP
  - toEndpoints:
    - matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}
    toPorts:
    - ports:
      - port: "53"
        protocol: UDP
      rules:
        dns: [{matchPattern: "*"}]
"""
MENDED = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: web
  namespace: a
spec:
  endpointSelector:
    matchLabels: {app: web}
  ingress:
  - fromEndpoints:
    - matchLabels:
        k8s:io.kubernetes.pod.namespace: ci  # the builders
  - fromEndpoints:
    - matchExpressions:
      - {key: "k8s:io.kubernetes.pod.namespace", operator: In, values: [cd]}
    toPorts:
    - ports:
      - port: "80"
        protocol: TCP
      rules:
        http: [{method: GET}]
  egress:
  - toFQDNs:  # the mirror
    - matchName: pypi.org
  # https only
    toPorts:
    - ports:
      - port: "443"  # TLS
        protocol: TCP
  - toEndpoints:
    - matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}
    toPorts:
    - ports:
      - port: "53"
        protocol: UDP
      - port: "53"
        protocol: TCP
      rules:
        dns: [{matchPattern: "*"}]
"""


def test_fix_mends_kinds_of_mistakes_with_every_comment_kept(run: Run, policy: Path) -> None:
    policy.write_text(MISTAKES)
    run("lint", str(policy.parent), "--fix")
    first = policy.read_text()
    ran = run("lint", str(policy.parent), "--fix")
    assert policy.read_text() == MENDED, first
    assert not {"NP003", "NP009", "NP016", "NP028"} & set(
        _codes(run("lint", str(policy.parent), "-o", "json"))
    )
    assert ran.code in (0, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  - toFQDNs:", "  - toFQDNs: [{matchName: a.org}]\n  - toFQDNs:"),  # which is meant?
        ("operator: In, values: [cd]", "operator: NotIn, values: [cd]"),
        ("    - matchLabels:\n", "    - matchLabels:\n        io.kubernetes.pod.namespace: x\n"),
    ],
)
def test_fix_leaves_what_could_mean_another_thing(
    run: Run, policy: Path, old: str, new: str
) -> None:
    policy.write_text(MISTAKES.replace(old, new))
    run("lint", str(policy.parent), "--fix")
    run("lint", str(policy.parent), "--fix")
    assert policy.read_text() != MENDED.replace(old, new)
    left = _codes(run("lint", str(policy.parent), "-o", "json"))
    assert {"NP003", "NP016"} & set(left)


def test_fix_says_what_the_engine_sees_change(run: Run, policy: Path) -> None:
    pods = "".join(
        f"---\napiVersion: v1\nkind: Pod\n"
        f"metadata: {{name: {name}, namespace: {space}, labels: {{app: {name}}}}}\n"
        f"spec: {{nodeName: node, containers: [{{name: c, image: x}}]}}\n"
        f"status: {{phase: Running, podIP: 10.0.0.{at}, podIPs: [{{ip: 10.0.0.{at}}}]}}\n"
        for at, (name, space) in enumerate((("web", "a"), ("builder", "ci"), ("other", "b")))
    )
    wrong = MISTAKES.partition("  - fromEndpoints:\n    - matchExpressions")[0]
    policy.write_text(wrong + pods)
    ran = run("lint", str(policy.parent), "--fix")
    assert "fixed NP016" in ran.err
    assert "2 connections newly allowed, 0 newly denied" in ran.err  # one pair: TCP and UDP


def test_fix_leaves_an_expression_that_stays_wrong(run: Run, policy: Path) -> None:
    text = HEADER.replace('headers: ["X-Token:42"]', 'host: "*.example.org"')
    policy.write_text(text)
    run("lint", str(policy.parent), "--fix")
    assert policy.read_text() == text


def test_fix_leaves_what_is_not_certain(run: Run, policy: Path) -> None:
    text = POLICY.replace("toFQDNs:\n    - matchName: pypi.org", "toCIDR: [192.0.2.0/24]")
    policy.write_text(text)
    assert run("lint", str(policy.parent), "--fix").code == 1
    assert policy.read_text() == text
    found = run("lint", str(policy.parent), "-o", "json").json["items"]
    (patch,) = [one["patch"] for one in found if one["code"] == "NP003"]
    assert "-  - toPorts:\n+    toPorts:\n" in patch


def test_patch_is_in_the_finding(run: Run, policy: Path) -> None:
    policy.write_text(HEADER)
    (finding,) = run("lint", str(policy.parent), "-o", "json").json["items"]
    assert '+        - headers: ["X-Token: 42"]  # the gateway\'s' in finding["patch"]


def test_rules_are_listed_and_explained(run: Run) -> None:
    listed = run("lint", "--rules", "-o", "json").json["items"]
    assert [one["code"] for one in listed] == [rule.code for rule in RULES]
    assert "alternatives" in run("lint", "--rules", "NP003").out


def test_demo_has_its_mistakes(run: Run) -> None:
    codes = set(_codes(run("lint", "--demo", "-o", "json")))
    assert {"NP001", "NP003", "NP016", "NP018", "NP021", "NP051", "NP072", "NP101"} <= codes


def test_demo_shows_its_source_lines(run: Run) -> None:
    assert "    |     - toEntities:\n    |       ^\n" in run("lint", "--demo").out


def test_missing_path_is_bad_input(run: Run) -> None:
    assert run("lint", "no-such-folder").code == 2


def test_page_is_what_the_registry_says() -> None:
    page = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    assert page == lint_page(), "run `python -m app.cli.lintdocs > docs/lint.md`"


def test_field_of_a_patch_is_told_at_the_patch_and_what_nothing_deploys_is_judged_too(
    run: Run, policy: Path
) -> None:
    base = policy.parent / "base"
    over = policy.parent / "overlays" / "prd"
    base.mkdir()
    over.mkdir(parents=True)
    policy.rename(base / "policy.yaml")
    (base / "lost.yaml").write_text(HEADER)
    (base / "kustomization.yaml").write_text("resources: [policy.yaml]\n")
    (over / "kustomization.yaml").write_text(
        "resources: [../../base]\n"
        "patches:\n"
        "- target: {kind: CiliumNetworkPolicy}\n"
        "  patch: |-\n"
        "    - op: add\n"
        "      path: /spec/egress/-\n"
        "      value: {toCIDR: [169.254.169.254/32]}\n"
    )
    found = run("lint", str(policy.parent), "-o", "json").json["items"]
    places = {one["code"]: (Path(one["file"]).name, one["line"]) for one in found}
    assert places == {
        "NP103": ("lost.yaml", 1),
        "NP123": ("lost.yaml", 12),
        "NP003": ("policy.yaml", 12),
        "NP125": ("kustomization.yaml", 7),
    }
