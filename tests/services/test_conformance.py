import gzip
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.core.errors import BadInput
from app.services.conformance import Disagreement, run

Tree = dict[str, Any]

POD = {
    "kind": "Pod",
    "metadata": {"name": "x", "namespace": "a", "labels": {"app": "x"}},
    "status": {"podIP": "10.0.0.1"},
}
OTHER = {
    "kind": "Pod",
    "metadata": {"name": "y", "namespace": "b"},
    "status": {"podIP": "10.0.0.2"},
}
POLICY = {
    "kind": "CiliumNetworkPolicy",
    "metadata": {"name": "p", "namespace": "a"},
    "spec": {
        "endpointSelector": {},
        "egress": [
            {"toEntities": ["world"], "toPorts": [{"ports": [{"port": "443"}]}]},
            {
                "toEntities": ["host"],
                "toPorts": [
                    {
                        "ports": [{"port": "80", "protocol": "TCP"}],
                        "rules": {"http": [{"method": "GET"}]},
                    }
                ],
            },
            {
                "toEntities": ["all"],
                "toPorts": [
                    {
                        "ports": [{"port": "53", "protocol": "UDP"}],
                        "rules": {"dns": [{"matchPattern": "*"}]},
                    }
                ],
            },
            {"toFQDNs": [{"matchName": "pypi.org"}]},
        ],
    },
}
BROKEN = {"kind": "NetworkPolicy", "metadata": {"name": "b", "namespace": "a"}, "spec": 1}
BY = "CiliumNetworkPolicy/a/p"


def query(to: str = "entity:world", port: int = 443, protocol: str = "TCP", **more: Any) -> Tree:
    return {"from": "pod:a/x", "to": to, "port": port, "protocol": protocol, **more}


def case(*asked: Tree, **more: Any) -> Tree:
    return {"name": "one", "objects": [POD, POLICY], "queries": list(asked or [query()]), **more}


def expected(verdict: str = "allowed", **egress: Any) -> Tree:
    return {"verdict": verdict, "egress": {"verdict": verdict, **egress}}


def write(path: Path, *cases: Tree) -> str:
    text = "".join(json.dumps(item) + "\n\n" for item in cases)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return str(path)


def disagreements(path: Path, one: Tree) -> list[Disagreement]:
    found = list(run([write(path / "cases.jsonl", one)]))
    assert all(isinstance(item, Disagreement) for item in found)
    return [item for item in found if isinstance(item, Disagreement)]


@pytest.mark.parametrize("name", ["cases.jsonl", "cases.jsonl.gz"])
def test_run_when_all_agree_then_yields_nothing_and_counts(tmp_path: Path, name: str) -> None:
    right = case(query(), query(port=80), expect=[expected(by=[BY]), expected("denied", by=[])])

    report = run([write(tmp_path / name, right, right)])

    assert list(report) == []
    assert report.summary == "2 cases, 4 verdicts, 0 disagree"


def test_run_when_dash_then_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = SimpleNamespace(buffer=io.BytesIO(json.dumps(case()).encode()))
    monkeypatch.setattr("sys.stdin", stream)

    report = run(["-"])

    assert list(report) == []
    assert report.summary == "1 cases, 1 verdicts, 0 disagree"


@pytest.mark.parametrize(
    ("wanted", "about"),
    [
        ({"verdict": "denied"}, "verdict"),
        ({"verdict": "allowed", "egress": {"verdict": "denied"}}, "egress"),
        (expected(by=[]), "egress by"),
        (expected(l4="redirected"), "egress layer 3/4"),
        ({"verdict": "allowed", "ingress": {"verdict": "denied"}}, "ingress"),
    ],
)
def test_run_when_an_answer_differs_then_says_where(
    tmp_path: Path, wanted: Tree, about: str
) -> None:
    found = disagreements(tmp_path, case(expect=[wanted]))

    assert [item.about for item in found] == [f"pod:a/x -> entity:world 443/TCP {about}"]
    assert (found[0].line, found[0].case) == (1, "one")


def test_disagreement_when_printed_then_is_one_line(tmp_path: Path) -> None:
    (found,) = disagreements(tmp_path, case(expect=[{"verdict": "denied"}]))

    assert str(found) == (
        f"{tmp_path}/cases.jsonl:1 one: pod:a/x -> entity:world 443/TCP verdict: "
        "expected denied, got allowed"
    )


@pytest.mark.parametrize("side", [{}, {"by": None}, {"by": [], "byUnsure": True}, {"by": [BY]}])
def test_run_when_by_is_not_judged_then_agrees(tmp_path: Path, side: Tree) -> None:
    assert disagreements(tmp_path, case(expect=[expected(**side)])) == []


def test_run_when_invalid_differs_then_says_so(tmp_path: Path) -> None:
    one = case(invalid={"NetworkPolicy/a/b": "whatever the reason"})

    (found,) = disagreements(tmp_path, one)

    assert (found.about, found.expected, found.got) == ("invalid", "['NetworkPolicy/a/b']", "[]")
    assert disagreements(tmp_path, {**one, "objects": [POD, BROKEN]}) == []


def computed(path: Path, *cases: Tree) -> list[Tree]:
    report = run([write(path / "cases.jsonl", *cases)], print_expect=True)
    return [json.loads(str(line)) for line in report]


def test_print_when_asked_then_gives_the_expected_part(tmp_path: Path) -> None:
    one = case(query("pod:b/y"), query("ip:192.0.2.1"), query("fqdn:PyPI.org.=192.0.2.2", 1))

    (line,) = computed(tmp_path, one | {"objects": [POD, OTHER, POLICY, BROKEN]})

    assert line["name"] == "one"
    assert list(line["invalid"]) == ["NetworkPolicy/a/b"]
    assert line["expect"] == [
        {
            "verdict": "denied",
            "egress": {"verdict": "denied", "by": []},
            "ingress": {"verdict": "allowed", "by": []},
        },
        expected(by=[BY]),
        expected(by=[BY]),
    ]


@pytest.mark.parametrize(
    ("asked", "verdict"),
    [
        ({"http": {}}, "allowed"),
        ({"http": {"method": "PUT", "path": "/x", "host": "h", "headers": {"a": "b"}}}, "denied"),
    ],
)
def test_print_when_request_is_given_then_says_layer_4_too(
    tmp_path: Path, asked: Tree, verdict: str
) -> None:
    (line,) = computed(tmp_path, case(query("entity:host", 80, **asked)))

    assert line["expect"][0]["verdict"] == verdict
    assert line["expect"][0]["egress"] == {"verdict": verdict, "by": [BY], "l4": "redirected"}


def test_print_when_dns_or_server_name_is_asked_then_is_judged(tmp_path: Path) -> None:
    asked = (
        query("entity:world", 53, "UDP", dns="pypi.org"),
        query("entity:world", 443, sni="pypi.org"),
    )

    (line,) = computed(tmp_path, case(*asked))

    assert [item["egress"]["l4"] for item in line["expect"]] == ["redirected", "allowed"]
    assert [item["verdict"] for item in line["expect"]] == ["allowed", "allowed"]


@pytest.mark.parametrize(
    ("config", "verdict"),
    [
        ({}, "denied"),
        ({"ciliumVersion": "v1.18"}, "denied"),
        ({"ciliumVersion": "1.20.2", "dualStack": True}, "denied"),
        ({"policyEnforcementMode": "never"}, "allowed"),
    ],
)
def test_print_when_config_is_given_then_is_used(
    tmp_path: Path, config: Tree, verdict: str
) -> None:
    (line,) = computed(tmp_path, case(query(port=80), config=config))

    assert line["expect"][0]["verdict"] == verdict


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no conformance case"),
        ('{"name": 1}', "no conformance case"),
        (json.dumps(case(objects=[{"kind": "Pod"}])), "an object has no metadata"),
        (json.dumps(case(query("pod:a/none"))), "`pod:a/none` is no pod of the case"),
        (json.dumps(case(query("entity:martians"))), "martians"),
        (json.dumps(case(query("ip:martian"))), "martian"),
        (json.dumps(case(query("fqdn:martian"))), "no conformance case"),
        (json.dumps(case(query(protocol="MARTIAN"))), "MARTIAN"),
        (json.dumps(case(config={"ciliumVersion": "martian"})), "martian"),
        (json.dumps(case(config={"policyEnforcementMode": "odd"})), "odd"),
    ],
    ids=range(10),
)
def test_run_when_a_line_is_no_case_then_says_where(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(line + "\n", encoding="utf-8")

    with pytest.raises(BadInput, match=said) as caught:
        list(run([str(path)]))

    assert (caught.value.file, caught.value.line) == (str(path), 1)


def test_run_when_file_is_missing_then_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        list(run([str(tmp_path / "none.jsonl")]))


def test_run_when_gzip_is_broken_then_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(b"\x1f\x8bno gzip")

    with pytest.raises(BadInput, match="cannot be read"):
        list(run([str(tmp_path / "x.gz")]))
