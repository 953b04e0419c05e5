"""A rule goes where its comment and its neighbours say it belongs."""

from pathlib import Path

import pytest

from app.core.drafts.choice import Option, options
from app.core.drafts.edits import Append
from app.core.model.verdict import Direction, Protocol, Question
from app.core.policy.engine import Engine
from integrations.manifests.reader import load
from tests.core.drafts.cluster import WORKSPACE, engine_of, question, write

METADATA = """\
    # Allow access to metadata server
    - toCIDR:
        - 169.254.169.254/32  # of the cloud
      toPorts:
        - ports:
            - port: "53"
              protocol: UDP
"""
IDENTITY = """\
    # Login at the identity provider
    - toFQDNs:
        - matchName: login.example.org
      toPorts:
        - ports:
            - port: "443"
              protocol: TCP
"""


def _ways(tmp_path: Path, policy: str, destination: str, port: int, udp: str = "") -> list[Option]:
    engine = engine_of(write(tmp_path, {"lung/workspace.yaml": policy}))
    asked = question(engine, "lung/notebook-alice", destination, port)
    if udp:
        asked = Question(asked.source, asked.destination, port, Protocol.UDP)
    return list(options(asked, Direction.EGRESS, engine))


def _first_edit(ways: list[Option]) -> Append:
    edit = ways[0].changes[0].edits[0]
    assert isinstance(edit, Append)
    return edit


def test_rule_when_a_comment_speaks_of_another_address_then_one_of_its_own(tmp_path: Path) -> None:
    ways = _ways(tmp_path, WORKSPACE + METADATA, "8.8.8.8", 53, udp="UDP")
    assert _first_edit(ways).path == ("spec", "egress")


@pytest.mark.parametrize(
    ("comment", "joins"),
    [
        ("# Login at the identity provider", False),
        ("# Login at the identity provider, and gitlab", True),
        ("# what?", False),
    ],
)
def test_rule_when_a_comment_names_the_wanted_then_it_joins_else_not(
    tmp_path: Path, comment: str, *, joins: bool
) -> None:
    policy = WORKSPACE.partition("    # packages")[0] + IDENTITY
    policy = policy.replace("# Login at the identity provider", comment)
    edit = _first_edit(_ways(tmp_path, policy, "gitlab.com", 443))
    assert (edit.path[-1] == "toFQDNs") is joins


def test_rule_when_nothing_is_said_or_a_neighbour_is_of_the_same_name_then_it_joins(
    tmp_path: Path,
) -> None:
    silent = WORKSPACE.replace("    # packages\n", "")
    assert _first_edit(_ways(tmp_path / "a", silent, "cran.r-project.org", 443)).path[-1] == (
        "toFQDNs"
    )
    assert _first_edit(_ways(tmp_path / "b", WORKSPACE, "files.pypi.org", 443)).path[-1] == (
        "toFQDNs"
    )


def test_rule_when_the_description_speaks_of_those_that_are_named_then_not_stretched(
    tmp_path: Path,
) -> None:
    told = WORKSPACE.replace("    # packages\n", "").replace(
        "spec:\n", "spec:\n  description: packages of PyPI\n"
    )
    assert _first_edit(_ways(tmp_path, told, "gitlab.com", 443)).path == ("spec", "egress")


def test_rule_when_two_policies_may_take_it_then_the_one_that_speaks_of_it(tmp_path: Path) -> None:
    engine = _two_policies(tmp_path)
    ways = options(
        question(engine, "lung/notebook-alice", "gitlab.com", 443), Direction.EGRESS, engine
    )
    assert ways[0].changes[0].policy.name == "workspace-gitlab"


def _two_policies(tmp_path: Path) -> Engine:
    plain = WORKSPACE.partition("    # packages")[0]
    other = plain.replace("name: workspace", "name: workspace-gitlab")
    return engine_of(write(tmp_path, {"lung/a.yaml": plain, "lung/b.yaml": other}))


def test_comments_when_above_beside_and_within_then_those_of_the_rule(tmp_path: Path) -> None:
    root = write(tmp_path, {"lung/workspace.yaml": WORKSPACE + METADATA})
    source = next(one.source for one in load([str(root)]).manifests if one.ref.name == "workspace")
    assert source is not None
    assert source.comments == {
        "spec.egress[0]": "DNS",
        "spec.egress[1]": "the mirror",
        "spec.egress[2]": "packages",
        "spec.egress[3]": "Allow access to metadata server of the cloud",
    }
