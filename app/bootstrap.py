"""The only place that builds adapters: from what was asked for to readers and flow sources.

Every adapter is imported where it is built, so that a command loads what it uses and no more.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.config import APP, Loaded, Settings, find_secret
from app.core.diagnose.boundaries import Boundary, newly_broken, parse_boundaries
from app.core.errors import BadInput, ConfigError, DraftRejected, UsageError
from app.core.model.provenance import Manifest
from app.ports import Chat, ClusterReader, FlowHistory, FlowSource, PolicyRepo
from app.services.doctor import Surroundings
from app.services.flows import Sifted
from app.services.kept import Kept
from app.services.located import LocatedReader
from app.services.picture import parse_version
from app.services.workspace import Workspace

if TYPE_CHECKING:
    from app.bot.desk import Desk
    from app.services.drafting import Drafter
    from integrations.kubernetes.forward import RelayForward
    from integrations.kubernetes.reader import KubernetesReader

TLS_PREFIX = "tls://"
HUBBLE_NAMESPACE = "kube-system"
GITHUB_TOKEN = ("K8TRE_TUI_GITHUB_TOKEN", "GITHUB_TOKEN")
REDACT_KEY = "K8TRE_TUI_REDACT_KEY"
SLACK_APP_TOKEN = ("K8TRE_TUI_SLACK_APP_TOKEN", "SLACK_APP_TOKEN")
SLACK_BOT_TOKEN = ("K8TRE_TUI_SLACK_BOT_TOKEN", "SLACK_BOT_TOKEN")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where data come from (contracts.md §2). With none of it: the live cluster."""

    demo: bool = False
    snapshots: tuple[str, ...] = ()
    flows: str = ""
    replay: str = ""
    record: str = ""
    sets: Mapping[str, str] = field(default_factory=dict)
    cilium_version: str = ""
    kubeconfig: str = ""
    context: str = ""
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
        return ", ".join(self.snapshots) or self.context


def look_around(sources: Sources, config: Loaded, environ: Mapping[str, str]) -> Surroundings:
    """What is there besides the sources: settings, a checkout, boundaries, credentials."""
    settings = config.settings
    github = find_secret(environ, *GITHUB_TOKEN)
    slack = find_secret(environ, *SLACK_BOT_TOKEN)
    return Surroundings(
        str(config.file or ""),
        settings.repo.path or next(filter(_is_checkout, sources.snapshots), ""),
        settings.check.boundaries,
        (
            ("github", github.origin if github else "", f"set {GITHUB_TOKEN[0]}[_FILE]"),
            ("slack", slack.origin if slack else "", f"set {SLACK_BOT_TOKEN[0]}[_FILE]"),
        ),
    )


def save_snapshot(
    manifests: Iterable[Manifest], file: str, *, redact_key: bytes | None = None
) -> int:
    """Write what `--snapshot` reads; gives how many objects. Raises `BadInput`."""
    from integrations.kubernetes.snapshot import write_snapshot

    return write_snapshot(manifests, Path(file), redact_key=redact_key)


def redaction_key(environ: Mapping[str, str]) -> bytes:
    """The key of aliases: the user's, or a new one that is forgotten afterwards."""
    given = find_secret(environ, REDACT_KEY)
    if given is None:
        return secrets.token_bytes(32)
    return hashlib.sha256(given.reveal().encode()).digest()


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


def parse_sets(texts: tuple[str, ...]) -> dict[str, str]:
    """Read `NAME=VALUE` pairs. Raises `UsageError`."""
    sets = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"`{text}` is not NAME=VALUE", hint="as in --set DOMAIN=tre.org")
        sets[name] = value
    return sets


def build_workspace(
    sources: Sources, settings: Settings, *, follow: bool = True, flows: bool = True
) -> Workspace:
    """The workspace over everything that was asked for; nothing is read yet.

    Without `follow` a replay is read as the recording it is, without `flows` there are none.
    """
    version = sources.cilium_version or settings.cluster.cilium_version
    live = _live_reader(sources, settings) if sources.live_objects else None
    history = build_history(sources, settings) if flows else None
    return Workspace(
        build_readers(sources, settings, live),
        build_flow_sources(sources, settings, follow=follow, live=live, history=history)
        if flows
        else (),
        clock=SystemClock(),
        cilium_version=parse_version(version) if version else None,
        keep_flows=settings.flows.keep,
        history=history,
        boundaries=load_boundaries(sources, settings),
    )


def has_sources(sources: Sources, settings: Settings, environ: Mapping[str, str]) -> bool:
    """Whether there is anything to read; cheap, so that a first start can say at once what to do.

    Source: client-go's loading rules (`KUBECONFIG`, `~/.kube/config`, the pod's own environment).
    """
    named = sources.kubeconfig or settings.cluster.kubeconfig or environ.get("KUBECONFIG")
    if not sources.live_objects or named or "KUBERNETES_SERVICE_HOST" in environ:
        return True
    return Path("~/.kube/config").expanduser().exists()


def build_readers(
    sources: Sources, settings: Settings, live: KubernetesReader | None
) -> tuple[ClusterReader, ...]:
    """Readers of objects: the demo, files, or the live cluster.

    With a cluster, files are where its policies are written, not objects of their own.
    """
    readers: list[ClusterReader] = []
    if sources.demo:
        from integrations.demo.cluster import DemoCluster

        readers.append(DemoCluster())
    if live is not None:
        readers.append(_located(live, sources, settings))
    elif sources.snapshots:
        readers.append(_files(sources.snapshots, sources))
    return tuple(readers)


def _files(paths: tuple[str, ...], sources: Sources) -> ClusterReader:
    from integrations.manifests.reader import ManifestReader

    return ManifestReader(paths, sources.sets)


def _located(live: ClusterReader, sources: Sources, settings: Settings) -> ClusterReader:
    checkout = sources.snapshots or ((settings.repo.path,) if settings.repo.path else ())
    return LocatedReader(live, _files(checkout, sources)) if checkout else live


def _live_reader(sources: Sources, settings: Settings) -> KubernetesReader:
    from integrations.kubernetes.client import Credentials
    from integrations.kubernetes.reader import KubernetesReader

    cluster = settings.cluster
    credentials = Credentials(
        sources.kubeconfig or cluster.kubeconfig, sources.context or cluster.context
    )
    return KubernetesReader(credentials, clock=SystemClock(), namespaces=cluster.namespaces)


def build_flow_sources(
    sources: Sources,
    settings: Settings,
    *,
    follow: bool,
    live: KubernetesReader | None = None,
    history: FlowHistory | None = None,
) -> tuple[FlowSource, ...]:
    """Sources of flows: a recording, else the demo's traffic, else the cluster's own Relay.

    A snapshot without a recording has none. What passes is kept in `history`, and with `record`
    also written down.
    """
    found = _flow_source(sources, settings, follow=follow, live=live)
    if found is None:
        return ()
    if history is not None:
        found = Kept(found, history)
    if not sources.record:
        return (found,)
    from integrations.hubble.recording import Recorded

    return (Recorded(found, sources.record),)


def build_history(sources: Sources, settings: Settings) -> FlowHistory | None:
    """The history on disk, a folder for each cluster; it keeps only what Relay gives.

    None where the settings want none, or nothing comes from Relay.
    """
    flows = settings.flows
    if not flows.history or not _asks_relay(sources):
        return None
    from platformdirs import user_state_path

    from integrations.history.sqlite import Limits, SqliteHistory

    root = Path(flows.history_folder) if flows.history_folder else user_state_path(APP) / "flows"
    context = sources.context or settings.cluster.context or "current"
    cluster = sources.hubble_address or settings.hubble.address or context
    limits = Limits(flows.history_days, flows.history_mib << 20)
    return SqliteHistory(
        root / re.sub(r"[^A-Za-z0-9.-]+", "_", cluster), clock=SystemClock(), limits=limits
    )


def _asks_relay(sources: Sources) -> bool:
    recorded = sources.flows or sources.replay or sources.demo
    return not recorded and bool(sources.hubble_address or sources.live_objects)


def _flow_source(
    sources: Sources, settings: Settings, *, follow: bool, live: KubernetesReader | None
) -> FlowSource | None:
    if path := sources.flows or sources.replay:
        from integrations.hubble.files import FlowFile
        from integrations.hubble.recording import Replay

        file = FlowFile(path)
        played = follow and not sources.flows
        return Replay(file, clock=SystemClock()) if played else file
    if sources.demo:
        from integrations.demo.flows import DemoFlows

        return Sifted(DemoFlows())
    return _relay(sources, settings, live) if _asks_relay(sources) else None


def _relay(sources: Sources, settings: Settings, live: KubernetesReader | None) -> FlowSource:
    """Relay at its address, else through the API server's port-forward."""
    from integrations.hubble.live import RelayFlows
    from integrations.hubble.relay import Relay, Tls

    hubble = settings.hubble
    address = sources.hubble_address or hubble.address
    secure = hubble.tls or address.startswith(TLS_PREFIX)
    tls = Tls(hubble.ca_file, hubble.cert_file, hubble.key_file, hubble.server_name)
    plain = address.removeprefix(TLS_PREFIX)
    target = (lambda: plain) if plain else _forwarding(live or _live_reader(sources, settings))
    return RelayFlows(Relay(target, tls if secure else None), clock=SystemClock())


def _forwarding(live: KubernetesReader) -> Callable[[], str]:
    """Opens one port-forward, on first use, over the reader's own connection."""

    @cache
    def forward() -> RelayForward:
        from integrations.kubernetes.forward import RelayForward

        return RelayForward(live.api_server(), HUBBLE_NAMESPACE)

    return lambda: forward().open()


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where drafts go. `place` gives a shown file's path inside it.

    Without `writable` there is no repository: drafts can be shown and no more.
    """

    repo: PolicyRepo
    place: Callable[[str], str]
    writable: bool


def build_checkout(
    sources: Sources, settings: Settings, environ: Mapping[str, str], *, pull_request: bool
) -> Checkout:
    """The repository of the snapshot's files, or GitHub's copy of it for a pull request.

    Raises `ConfigError` when there are no files, or no repository and token on GitHub.
    """
    from integrations.git.local import LocalGit
    from integrations.git.patch_only import PatchOnly

    if sources.demo and not sources.snapshots:
        from integrations.demo.cluster import GITOPS

        return Checkout(PatchOnly(GITOPS.parent), str, writable=False)
    folder = _checkout_folder(sources, settings)
    root = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)
    place = _placing(root or folder)
    if pull_request:
        return Checkout(_github(settings, environ), place, writable=True)
    if root is None:
        return Checkout(PatchOnly(folder), place, writable=False)
    return Checkout(LocalGit(root, settings.repo.base or "HEAD"), place, writable=True)


def load_boundaries(sources: Sources, settings: Settings, file: str = "") -> tuple[Boundary, ...]:
    """The boundaries of `file`, else of the settings, else the demo's own; none is fine.

    Raises `BadInput` for a file that cannot be read.
    """
    path = file or settings.check.boundaries
    if not path:
        if not sources.demo:
            return ()
        from integrations.demo.cluster import BOUNDARIES

        path = str(BOUNDARIES)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the boundaries `{path}`", file=path) from error
    return parse_boundaries(text, path)


def load_drafts(paths: tuple[str, ...], sources: Sources) -> tuple[Manifest, ...]:
    """The objects of draft files, placeholders filled as in the snapshot. Raises `BadInput`."""
    from integrations.manifests.reader import load

    loaded = load(paths, sources.sets)
    if not loaded.manifests:
        raise BadInput(f"no object in {', '.join(paths)}", file=paths[0])
    return loaded.manifests


def build_drafter(checkout: Checkout, sources: Sources, settings: Settings) -> Drafter:
    """What makes drafts for a checkout."""
    from app.services.drafting import Drafter

    boundaries = load_boundaries(sources, settings)
    broken = partial(newly_broken, boundaries) if boundaries else None
    return Drafter(checkout.repo, checkout.place, sets=sources.sets, boundaries=broken)


def _checkout_folder(sources: Sources, settings: Settings) -> Path:
    if settings.repo.path:
        return Path(settings.repo.path).resolve()
    if not sources.snapshots:
        raise ConfigError(
            "there is no checkout to change", hint="name it with --snapshot, or set repo.path"
        )
    path = Path(sources.snapshots[0]).resolve()
    return path if path.is_dir() else path.parent


def _placing(root: Path) -> Callable[[str], str]:
    def place(shown: str) -> str:
        path = Path(shown).resolve()
        if not path.is_relative_to(root):
            raise DraftRejected(f"`{shown}` is outside of {root}")
        return path.relative_to(root).as_posix()

    return place


def _github(settings: Settings, environ: Mapping[str, str]) -> PolicyRepo:
    from integrations.git.github import GitHub

    token = find_secret(environ, *GITHUB_TOKEN)
    if token is None or not settings.repo.github:
        what = "token for GitHub" if token is None else "repository on GitHub"
        hint = f"set {GITHUB_TOKEN[0]}[_FILE]" if token is None else "set repo.github"
        raise ConfigError(f"no {what}", hint=hint)
    repo = settings.repo
    return GitHub(repo.github, token, base=repo.base, api=repo.api)


def build_desk(workspace: Workspace, settings: Settings, cluster: str) -> Desk:
    """Where the bot's questions are answered, by the rules of the settings.

    Raises `ConfigError` for a level that does not exist.
    """
    from platformdirs import user_state_path

    from app.bot.access import make_rules
    from app.bot.audit import AuditLog
    from app.bot.desk import Desk, known_in

    file = settings.bot.audit or user_state_path(APP) / "audit.jsonl"
    rules = make_rules(settings.bot, settings.projects)
    return Desk(known_in(workspace, cluster), rules, AuditLog(Path(file)), SystemClock())


def build_local_desk(workspace: Workspace, cluster: str) -> Desk:
    """The desk for trying the bot on this machine: no rules, no record."""
    from app.bot.access import Level, Rules
    from app.bot.audit import Unrecorded
    from app.bot.desk import Desk, known_in
    from app.testing.slack_server import CHANNEL

    rules = Rules(channels=frozenset({CHANNEL}), level=Level.FULL)
    return Desk(known_in(workspace, cluster), rules, Unrecorded(), SystemClock())


def build_slack(desk: Desk, environ: Mapping[str, str], say: Callable[[str], None]) -> Chat:
    """Slack with the tokens of the environment. Raises `ConfigError` when one is missing."""
    from integrations.slack.chat import SlackAccess, SlackChat

    bot, app = (find_secret(environ, *names) for names in (SLACK_BOT_TOKEN, SLACK_APP_TOKEN))
    if bot is None or app is None:
        missing = SLACK_BOT_TOKEN if bot is None else SLACK_APP_TOKEN
        raise ConfigError(
            "no Slack token", hint=f"set {missing[0]} or {missing[0]}_FILE; to try it: bot --local"
        )
    return SlackChat(SlackAccess(bot.reveal(), app.reveal()), desk.answer, say)
