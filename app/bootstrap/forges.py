"""The forge that pull requests go to, from the settings and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from app.bootstrap.sources import GITEA_TOKEN, GITHUB_TOKEN, GITLAB_TOKEN, forge_secret
from app.config import Secret, Settings, find_secret
from app.core.errors import ConfigError
from app.ports import PolicyRepo

if TYPE_CHECKING:
    from integrations.git.github_app import GitHubApp

_NAMES = {"gitea": "Gitea", "gitlab": "GitLab", "github": "GitHub"}


def has_forge(settings: Settings) -> bool:
    """Whether the settings name a place for pull requests."""
    repo = settings.repo
    return bool(repo.gitea or repo.gitlab or repo.github or repo.remote)


def build_forge(settings: Settings, environ: Mapping[str, str], root: Path) -> PolicyRepo:
    """The forge of the settings; `root` is a checkout of the same repository.

    Raises `ConfigError` when none is named, or there is no token.
    """
    repo = settings.repo
    if not has_forge(settings):
        raise ConfigError(
            "there is no forge for a pull request",
            hint=f"set repo.gitea and repo.gitea_url with {GITEA_TOKEN[0]}[_FILE], repo.github"
            f" with {GITHUB_TOKEN[0]}[_FILE], repo.gitlab with {GITLAB_TOKEN[0]}[_FILE], or"
            " repo.remote; without --pr the draft becomes a local branch",
        )
    if repo.remote and not (repo.gitea or repo.gitlab or repo.github):
        from integrations.git.local import LocalGit

        return LocalGit(Path(repo.remote).expanduser(), repo.base or "HEAD")
    name, names = forge_secret(settings)
    secret = find_secret(environ, *names)
    if secret is None:
        raise ConfigError(f"no token for {_NAMES[name]}", hint=f"set {names[0]}[_FILE]")
    return _build(settings, secret, root)


def _build(settings: Settings, secret: Secret, root: Path) -> PolicyRepo:
    repo = settings.repo
    if repo.gitea:
        from integrations.git.gitea import Gitea

        if not repo.gitea_url:
            raise ConfigError("where is that Gitea?", key="repo.gitea_url", hint="set it")
        return Gitea(repo.gitea, secret, url=repo.gitea_url, base=repo.base, mirror=root)
    if repo.gitlab:
        from integrations.git.gitlab import GitLab

        return GitLab(repo.gitlab, secret, url=repo.gitlab_url, base=repo.base, mirror=root)
    from integrations.git.github import GitHub

    credential: Secret | GitHubApp = secret
    if repo.github_app:
        from integrations.git.github_app import GitHubApp

        credential = GitHubApp(repo.github_app, secret)
    return GitHub(repo.github, credential, base=repo.base, api=repo.api, mirror=root)
