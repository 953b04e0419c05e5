"""What was asked for: where data come from, and what is there besides."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from app.config import Loaded, Settings, find_secret
from app.core.errors import UsageError

if TYPE_CHECKING:
    from app.services.doctor import Surroundings

GITHUB_TOKEN = ("K8TRE_TUI_GITHUB_TOKEN", "GITHUB_TOKEN")
GITHUB_APP_KEY = ("K8TRE_TUI_GITHUB_APP_KEY",)
GITEA_TOKEN = ("K8TRE_TUI_GITEA_TOKEN", "GITEA_TOKEN")
GITLAB_TOKEN = ("K8TRE_TUI_GITLAB_TOKEN", "GITLAB_TOKEN")
REDACT_KEY = "K8TRE_TUI_REDACT_KEY"
SLACK_APP_TOKEN = ("K8TRE_TUI_SLACK_APP_TOKEN", "SLACK_APP_TOKEN")
SLACK_SIGNING_SECRET = ("K8TRE_TUI_SLACK_SIGNING_SECRET", "SLACK_SIGNING_SECRET")
SLACK_BOT_TOKEN = ("K8TRE_TUI_SLACK_BOT_TOKEN", "SLACK_BOT_TOKEN")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where data come from (docs/forms.md §2). With none of it: the live cluster."""

    demo: bool = False
    snapshots: tuple[str, ...] = ()
    flows: str = ""
    replay: str = ""
    record: str = ""
    redact: bool = False
    sets: Mapping[str, str] = field(default_factory=dict)
    env: str = ""
    clusters: tuple[str, ...] = ()
    rendered: tuple[str, ...] = ()
    helm: str = "helm"
    cilium_version: str = ""
    kubeconfig: str = ""
    context: str = ""
    user: str = ""
    hubble_address: str = ""

    @property
    def live_objects(self) -> bool:
        """Whether objects are read from a cluster: when one is named, or nothing else is."""
        return bool(self.kubeconfig or self.context) or not (self.demo or self.snapshots)

    @property
    def title(self) -> str:
        """What to call all of it on screen."""
        if self.demo:
            return "demo"
        if self.live_objects:
            return self.context or "current context"
        return ", ".join(self.snapshots)


def parse_sets(texts: tuple[str, ...]) -> dict[str, str]:
    """Read `NAME=VALUE` pairs. Raises `UsageError`."""
    sets = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"`{text}` is not NAME=VALUE", hint="as in --set DOMAIN=tre.org")
        sets[name] = value
    return sets


def has_sources(sources: Sources, settings: Settings, environ: Mapping[str, str]) -> bool:
    """Whether there is anything to read; cheap, so that a first start can say at once what to do.

    Source: client-go's loading rules (`KUBECONFIG`, `~/.kube/config`, the pod's own environment).
    """
    named = sources.kubeconfig or settings.cluster.kubeconfig or environ.get("KUBECONFIG")
    if not sources.live_objects or named or "KUBERNETES_SERVICE_HOST" in environ:
        return True
    return Path("~/.kube/config").expanduser().exists()


def look_around(sources: Sources, config: Loaded, environ: Mapping[str, str]) -> Surroundings:
    """What is there besides the sources: settings, a checkout, boundaries, credentials."""
    from app.services.doctor import Surroundings

    settings = config.settings
    name, names = forge_secret(settings)
    forge = find_secret(environ, *names)
    slack = find_secret(environ, *SLACK_BOT_TOKEN)
    return Surroundings(
        str(config.file or ""),
        settings.repo.path or next(filter(_is_checkout, sources.snapshots), ""),
        settings.check.boundaries or ("the demo's own" if sources.demo else ""),
        (
            (name, forge.origin if forge else "", f"set {names[0]}[_FILE]"),
            ("slack", slack.origin if slack else "", f"set {SLACK_BOT_TOKEN[0]}[_FILE]"),
        ),
    )


def forge_secret(settings: Settings) -> tuple[str, tuple[str, ...]]:
    """Which forge the settings name, and the variables that may hold its credential."""
    repo = settings.repo
    if repo.gitea:
        return "gitea", GITEA_TOKEN
    if repo.gitlab:
        return "gitlab", GITLAB_TOKEN
    return "github", GITHUB_APP_KEY if repo.github_app else GITHUB_TOKEN


def _is_checkout(path: str) -> bool:
    here = Path(path).resolve()
    return any((folder / ".git").exists() for folder in (here, *here.parents))


class SystemClock:
    """The machine's own clocks."""

    def now_ns(self) -> int:
        """UTC nanoseconds since the epoch."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


def redaction_key(environ: Mapping[str, str]) -> bytes:
    """The key of aliases: the user's, or a new one that is forgotten afterwards."""
    given = find_secret(environ, REDACT_KEY)
    if given is None:
        return secrets.token_bytes(32)
    return hashlib.sha256(given.reveal().encode()).digest()
