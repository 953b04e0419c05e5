"""A forge that fails at any step: nothing half done stays, and a second run finishes the first."""

import contextlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from app.config import Secret
from app.core.errors import ConfigError, K8treError, SourceCause, SourceUnavailable
from app.ports import FileChange
from integrations.git.forge import ForgeRepo
from integrations.git.github import GitHub, api_address
from integrations.git.github_app import GitHubApp
from integrations.git.gitlab import GitLab
from tests.integrations.forges import (
    BRANCH,
    CHANGE,
    EDITED,
    LINK,
    OWNERS,
    PATH,
    RUN,
    FakeGitHub,
    FakeGitLab,
    Sleeper,
    fake_github,
    fake_gitlab,
)
from tests.integrations.git_repository import POLICY, git

Fakes = FakeGitHub | FakeGitLab
FAULTS: dict[str, tuple[Callable[[web.Request], web.StreamResponse], SourceCause]] = {
    "401": (lambda _: _said(401), SourceCause.UNAUTHENTICATED),
    "403": (lambda _: _said(403), SourceCause.FORBIDDEN),
    "404": (lambda _: _said(404), SourceCause.NOT_FOUND),
    "409": (lambda _: _said(409), SourceCause.CONFLICT),
    "422": (lambda _: _said(422), SourceCause.PROTOCOL),
    "429": (lambda _: _said(429, {"Retry-After": "3600"}), SourceCause.OVERLOADED),
    "502": (lambda _: web.Response(status=502), SourceCause.OVERLOADED),
    "html": (lambda _: web.Response(text="<html>"), SourceCause.PROTOCOL),
}


def _said(status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"message": "the forge says no"}, status=status, headers=headers)


async def _steps(make: Callable[[Path], object], folder: Path) -> int:
    """How many requests a whole run takes."""
    async with make(folder) as forge:  # type: ignore[attr-defined]
        await forge.repo().propose(CHANGE)
        return len(forge.server.requests)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("make", [fake_github, fake_gitlab])
async def test_propose_when_a_step_fails_then_said_and_a_second_run_finishes(
    make: Callable[[Path], object], fault: str, tmp_path: Path
) -> None:
    answer, _ = FAULTS[fault]
    steps = await _steps(make, tmp_path / "whole")
    first = list(FAULTS).index(fault) % 3
    for step in range(first, steps, 3):
        async with make(tmp_path / f"{step}") as forge:  # type: ignore[attr-defined]
            before = forge.head("main")
            _fail_from(forge, step, answer)
            with contextlib.suppress(K8treError):
                await forge.repo().propose(CHANGE)
            forge.server.intercept = lambda _: None
            await forge.repo().propose(CHANGE)
            assert forge.text(PATH, BRANCH) == EDITED
            assert forge.parents(BRANCH) == [forge.head("main")] == [before]
            (request,) = forge.requests()
            assert request.draft
            assert sorted(request.labels) == ["k8tre-tui", "network-policy"], (step, fault)


def _fail_from(
    forge: Fakes, step: int, answer: Callable[[web.Request], web.StreamResponse]
) -> None:
    """From the numbered request on, everything is answered so: retries do not get past it."""
    forge.server.intercept = lambda request: (
        answer(request) if len(forge.server.requests) > step else None
    )


@pytest.mark.parametrize("make", [fake_github, fake_gitlab])
async def test_propose_when_every_answer_is_lost_once_then_one_commit_and_one_request(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    """What was asked is done, and the answer does not arrive: the next run sees what is there."""
    steps = await _steps(make, tmp_path / "whole")
    for step in range(steps):
        async with make(tmp_path / f"{step}") as forge:  # type: ignore[attr-defined]
            forge.server.lost = step + 1
            with contextlib.suppress(K8treError):
                await forge.repo().propose(CHANGE)
            await forge.repo().propose(CHANGE)
            assert len(forge.requests()) == 1
            assert forge.text(PATH, BRANCH) == EDITED
            assert sorted(forge.requests()[0].labels) == ["k8tre-tui", "network-policy"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("make", [fake_github, fake_gitlab])
async def test_read_when_the_forge_fails_then_the_cause_is_named(
    make: Callable[[Path], object], fault: str, tmp_path: Path
) -> None:
    answer, cause = FAULTS[fault]
    async with make(tmp_path) as forge:  # type: ignore[attr-defined]
        forge.server.intercept = answer
        with pytest.raises(SourceUnavailable) as caught:
            await forge.repo().base()
        assert caught.value.cause is cause


@pytest.mark.parametrize("make", [fake_github, fake_gitlab])
async def test_answer_when_it_echoes_the_token_then_nowhere_in_what_is_said(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    async with make(tmp_path) as forge:  # type: ignore[attr-defined]
        token = forge.server.token

        def echo(_: web.Request) -> web.Response:
            said = {"message": f"no {token}", "errors": [{"message": token}], "error": token}
            return web.json_response(said, status=400)

        forge.server.intercept = echo
        with pytest.raises(SourceUnavailable) as caught:
            await forge.repo().base()
        assert "[token]" in str(caught.value)
        assert token not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"


async def test_propose_when_the_base_moves_between_steps_then_on_the_new_base(
    tmp_path: Path,
) -> None:
    steps = await _steps(fake_github, tmp_path / "whole")
    for step in range(steps):
        async with fake_github(tmp_path / f"{step}") as forge:
            moves = ["a: 2\n"]

            def move(
                _: web.Request,
                forge: FakeGitHub = forge,
                step: int = step,
                moves: list[str] = moves,
            ) -> None:
                if moves and len(forge.server.requests) > step:
                    forge.commit({"apps/lung/other.yaml": moves.pop()})

            forge.server.intercept = move
            await forge.repo().propose(CHANGE)
            await forge.repo().propose(CHANGE)
            assert forge.parents(BRANCH) == [forge.head("main")]
            assert forge.text(PATH, BRANCH) == EDITED
            assert len(forge.requests()) == 1


def _link_and_program(folder: Path) -> None:
    """A link to PATH in another folder, and an executable policy."""
    blob = git(folder, "hash-object", "-w", "--stdin", stdin="../lung/web.yaml").strip()
    text = git(folder, "hash-object", "-w", "--stdin", stdin=POLICY).strip()
    index = {"GIT_INDEX_FILE": str(folder / "i"), "PATH": "/usr/bin:/bin"}
    for words in (
        ["read-tree", "main"],
        ["update-index", "--add", "--cacheinfo", f"120000,{blob},{LINK}"],
        ["update-index", "--add", "--cacheinfo", f"100755,{text},{RUN}"],
    ):
        subprocess.run(["git", *words], cwd=folder, env=index, check=True)
    made = subprocess.run(
        ["git", "write-tree"], cwd=folder, env=index, check=True, capture_output=True
    )
    commit = git(folder, "commit-tree", made.stdout.decode().strip(), "-p", "main", "-m", "m")
    git(folder, "update-ref", "refs/heads/main", commit.strip())


@pytest.mark.parametrize("make", [fake_github, fake_gitlab])
async def test_propose_when_link_or_executable_then_the_target_changes_and_modes_stay(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    async with make(tmp_path) as forge:  # type: ignore[attr-defined]
        _link_and_program(forge.folder)
        assert await forge.repo().read_file(LINK) == POLICY
        files = (FileChange(LINK, POLICY, EDITED), FileChange(RUN, POLICY, EDITED))
        await forge.repo().propose(replace(CHANGE, files=files))
        assert forge.text(PATH, BRANCH) == EDITED
        assert forge.text(LINK, BRANCH) == "../lung/web.yaml"
        assert forge.mode(LINK, BRANCH) == "120000"
        assert forge.mode(RUN, BRANCH) == "100755"
        assert forge.text(RUN, BRANCH) == EDITED


async def test_propose_when_files_have_owners_then_those_who_can_are_asked(tmp_path: Path) -> None:
    async with fake_github(tmp_path) as forge:
        forge.commit({".github/CODEOWNERS": OWNERS})
        await forge.repo().propose(CHANGE)
        assert forge.server.pulls[0]["reviewers"] == ["lead"]
        forge.server.pulls[0]["reviewers"].clear()
        await forge.repo().propose(CHANGE)
        assert forge.server.pulls[0]["reviewers"] == []


async def test_propose_on_gitlab_when_files_have_owners_then_known_users_are_asked(
    tmp_path: Path,
) -> None:
    async with fake_gitlab(tmp_path) as forge:
        forge.commit({"CODEOWNERS": OWNERS})
        await forge.repo().propose(CHANGE)
        assert forge.server.pulls[0]["reviewers"] == [{"id": 5}]


async def test_propose_when_from_a_fork_then_that_request_is_not_taken_for_ours(
    tmp_path: Path,
) -> None:
    async with fake_github(tmp_path) as forge:
        await forge.repo().propose(CHANGE)
        forge.server.pulls[0]["head"]["repo"] = {"full_name": "mallory/gitops"}
        assert await forge.repo().drafts() == ()


# GitHub Apps and GitHub Enterprise


def _keys(folder: Path) -> tuple[str, str]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    del folder
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


async def test_app_when_installed_then_a_token_for_this_repository_alone(tmp_path: Path) -> None:
    private, public = _keys(tmp_path)
    async with fake_github(tmp_path) as forge:
        forge.server.app_key, forge.server.token = public, "not-this-one"
        app = GitHubApp("Iv1.abc", Secret(private, "test"))
        repo: ForgeRepo = GitHub("tre/gitops", app, api=forge.server.url, sleep=Sleeper())
        await repo.propose(CHANGE)
        await repo.drafts()
        asked = [one for one in forge.server.requests if one.path.endswith("/access_tokens")]
        assert [one.body for one in asked] == [
            {
                "repositories": ["gitops"],
                "permissions": {"contents": "write", "pull_requests": "write", "metadata": "read"},
            }
        ]
        assert len(forge.requests()) == 1


async def test_app_when_its_key_is_another_or_none_then_said(tmp_path: Path) -> None:
    private, _ = _keys(tmp_path)
    _, public = _keys(tmp_path)
    async with fake_github(tmp_path) as forge:
        forge.server.app_key = public
        for key, error in ((private, SourceUnavailable), ("no key", ConfigError)):
            app = GitHubApp("Iv1.abc", Secret(key, "test"))
            repo = GitHub("tre/gitops", app, api=forge.server.url, sleep=Sleeper())
            with pytest.raises(error) as caught:
                await repo.base()
            assert "PRIVATE KEY" not in f"{caught.value!r} {caught.value}"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("https://api.github.com", "https://api.github.com"),
        ("https://ghe.example.org", "https://ghe.example.org/api/v3"),
        ("https://ghe.example.org/", "https://ghe.example.org/api/v3"),
        ("https://ghe.example.org/api/v3", "https://ghe.example.org/api/v3"),
        ("https://api.tre.ghe.com", "https://api.tre.ghe.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_api_address_when_a_server_of_ones_own_then_below_api_v3(given: str, wanted: str) -> None:
    assert api_address(given) == wanted


@pytest.mark.parametrize("name", ["", "a", "a//b", "/"])
def test_gitlab_when_its_name_is_no_path_then_config_error(name: str) -> None:
    with pytest.raises(ConfigError):
        GitLab(name, Secret("x", "t"))
