"""`evidence` over files: the pack in its forms, the same bytes again, and two packs compared."""

import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.core.flows.encode import encode_line
from tests.cli.conftest import Run
from tests.core.insights.sights import Pod, refused

HOSTILE = "<script>alert(1)</script>|`x`"
OBJECTS = """\
apiVersion: v1
kind: Namespace
metadata: {name: project-lung}
---
apiVersion: v1
kind: Namespace
metadata: {name: project-heart}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: project-lung, labels: {app: a}}
spec: {nodeName: node-1, containers: [{name: m}]}
status: {phase: Running, podIP: 10.0.1.1, podIPs: [{ip: 10.0.1.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: project-heart, labels: {app: b}}
spec: {nodeName: node-1, containers: [{name: m}]}
status: {phase: Running, podIP: 10.0.1.2, podIPs: [{ip: 10.0.1.2}]}
"""
SHUT = """\
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: shut, namespace: NAMESPACE}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""


def files(folder: Path, *, shut: bool = True) -> tuple[str, ...]:
    objects, flows, boundaries = folder / "o.yaml", folder / "f.jsonl", folder / "b.toml"
    policies = [SHUT.replace("NAMESPACE", f"project-{one}") for one in ("lung", "heart")]
    objects.write_text(OBJECTS + ("".join(policies) if shut else ""))
    seen = refused(Pod("project-lung", "a", "10.0.1.1"), Pod("project-heart", "b", "10.0.1.2"), 80)
    flows.write_bytes(b"\n".join(map(encode_line, seen)))
    boundaries.write_text(
        f'[[boundary]]\nname = "{HOSTILE}"\nfrom = "ns:project-lung"\nto = "ns:project-heart"\n'
        'must = "deny"\nwhy = "kept apart"\n'
    )
    return ("--snapshot", str(objects), "--flows", str(flows), "--boundaries", str(boundaries))


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_pack_when_written_twice_then_has_the_same_bytes(run: Run, tmp_path: Path) -> None:
    words = files(tmp_path)
    for name in ("one", "two"):
        ran = run("evidence", "-o", str(tmp_path / name), *words)
        assert ran.code in (1, 3), ran.err
    for file in ("evidence.json", "index.html", "evidence.md", "SHA256SUMS"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_pack_has_every_statement_with_its_proof_and_what_was_not_read(
    run: Run, tmp_path: Path
) -> None:
    run("evidence", "-o", str(tmp_path / "pack"), *files(tmp_path))
    pack = json.loads((tmp_path / "pack" / "evidence.json").read_text(encoding="utf-8"))
    claims = {one["statement"]: one for one in pack["claims"]}
    assert list(claims) == ["2.2.10", "2.2.11", "2.2.12", "2.2.13", "2.5.03", "2.8.02"]
    assert claims["2.2.10"]["standing"] == "holds"
    assert claims["2.5.03"]["standing"] == claims["2.8.02"]["standing"] == "not-shown"
    assert all(one["proofs"] or one["not_known"] for one in claims.values())
    assert pack["violations"][0]["cause"]["code"] == "egress-default-deny"
    assert len(pack["inputs"]["files"]) == 3
    assert all(one["sha256"] for one in pack["inputs"]["files"])


def test_page_when_names_are_hostile_then_they_are_text_and_nothing_is_loaded(
    run: Run, tmp_path: Path
) -> None:
    run("evidence", "-o", str(tmp_path / "pack"), *files(tmp_path))
    page = Page()
    page.feed((tmp_path / "pack" / "index.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert not page.links
    assert page.tags.count("section") == 6
    written = (tmp_path / "pack" / "evidence.md").read_text(encoding="utf-8")
    assert "<script>" not in written
    assert "\\<script\\>" in written


def test_diff_when_policies_are_gone_then_the_statement_stands_worse(
    run: Run, tmp_path: Path
) -> None:
    for name, shut in (("before", True), ("after", False)):
        run("evidence", "-o", str(tmp_path / name), *files(tmp_path, shut=shut))
    ran = run("evidence", "diff", str(tmp_path / "before"), str(tmp_path / "after"))
    assert ran.code == 1
    assert "2.2.10  holds → does-not-hold" in ran.out
    same = run("evidence", "diff", str(tmp_path / "after"), str(tmp_path / "after"))
    assert (same.code, same.out) == (0, "")


def test_diff_when_it_is_no_pack_then_says_which_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "evidence.json").write_text("[]")
    ran = run("evidence", "diff", str(tmp_path), str(tmp_path))
    assert ran.code == 2
    assert "evidence.json" in ran.err
    assert run("evidence", "diff", str(tmp_path)).code == 2
    assert run("evidence").code == 2


def test_pack_when_signed_with_an_ssh_key_then_ssh_keygen_verifies_it(
    run: Run, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)]
    subprocess.run(make, check=True)
    pack = tmp_path / "pack"
    run("evidence", "-o", str(pack), *files(tmp_path), "--signed-by", str(key))
    signers = tmp_path / "signers"
    signers.write_text(f"auditor {key.with_suffix('.pub').read_text()}")
    verify = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "auditor",
              "-n", "k8tre-tui-evidence", "-s", str(pack / "SHA256SUMS.sig")]  # fmt: skip
    sums = (pack / "SHA256SUMS").read_bytes()
    subprocess.run(verify, check=True, input=sums, capture_output=True)
    sha = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    subprocess.run(sha, check=True, cwd=pack)


@pytest.mark.parametrize(
    ("text", "told"), [("nonsense", "is no key"), ("untrusted comment: x\n", "minisign")]
)
def test_pack_when_the_key_cannot_be_used_then_it_says_so(
    run: Run, tmp_path: Path, text: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    key = tmp_path / "key"
    key.write_text(text)
    ran = run("evidence", "-o", str(tmp_path / "p"), *files(tmp_path), "--signed-by", str(key))
    assert ran.code == 2
    assert told in ran.err


def test_pack_of_the_demo_says_what_does_not_hold(run: Run, tmp_path: Path) -> None:
    ran = run("evidence", "--demo", "-o", str(tmp_path))
    assert ran.code == 1
    assert "2.2.10     ✓ holds" in ran.out
    assert "2.8.02     ✗ does not hold" in ran.out
