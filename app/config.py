"""Settings, declared once: each field below is a key, its default, and its sentence of help.

Where a value comes from, the later winning: the default, the file (TOML, under the user's config
directory), the environment (`K8TRE_TUI_SECTION_KEY`), the command line. The example file, the
check, `config show` and the error messages are all made from these declarations. Secrets are not
settings: they come from the environment or from a file that only its owner can read, never from
the file here nor from an argument.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from app.core.documents.toml import SIZE_MAX, parse_toml
from app.core.errors import BadInput, ConfigError
from app.core.text import clean, is_clean

APP = "k8tre-tui"
PREFIX = "K8TRE_TUI_"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a setting may be: one of `choices`, from `least` to `most`, or text of a `form`.

    An empty text is always taken: it means the default.
    """

    choices: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    form: str = ""
    example: str = ""

    def objection(self, value: Any) -> str:
        """Why a value cannot be used; empty when it can."""
        if isinstance(value, int) and self.least is not None and self.most is not None:
            if not self.least <= value <= self.most:
                return f"{value} is not from {self.least} to {self.most}"
        elif isinstance(value, str) and value:
            if self.choices and value not in self.choices:
                return f"`{clean(value, 80)}` is none of {', '.join(self.choices)}"
            if self.form and not re.fullmatch(self.form, value):
                return f"`{clean(value, 80)}` is not of the form {self.example}"
        return ""


_ANYTHING = Bound()
_URL = Bound(form=r"https?://[^\s/?#]+[^\s]*", example="https://HOST[:PORT]")
_VERSION = Bound(form=r"v?\d{1,3}\.\d{1,3}(\.\d{1,3})?([-+]\S*)?", example="1.19.3")


def _key(text: str, *, default: Any = "", bound: Bound = _ANYTHING) -> Any:
    """A setting: what it means, an immutable default, and what else it may be."""
    return field(default=default, metadata={"help": text, "bound": bound})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """Which cluster, and how it is read."""

    kubeconfig: str = _key("kubeconfig file; empty means KUBECONFIG, then ~/.kube/config")
    context: str = _key("context of the kubeconfig; empty means its current one")
    cilium_version: str = _key(
        "apply this Cilium release, as 1.19.3; empty means ask", bound=_VERSION
    )
    namespaces: tuple[str, ...] = _key(
        "namespaces to read when listing them is forbidden", default=()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HubbleSettings:
    """How Hubble Relay is reached."""

    address: str = _key("host:port of Relay; empty means through the Kubernetes API server")
    tls: bool = _key("speak TLS to Relay", default=False)
    ca_file: str = _key("certificate authorities that Relay's certificate is checked against")
    cert_file: str = _key("client certificate, for mutual TLS")
    key_file: str = _key("key of the client certificate")
    server_name: str = _key("name expected in Relay's certificate; empty means by convention")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSettings:
    """What is kept of flows: some in memory, and those of a live cluster on disk."""

    keep: int = _key("flows kept in memory", default=50_000, bound=Bound(least=1, most=10_000_000))
    history: bool = _key("keep live flows on disk too, for questions beyond Hubble", default=True)
    history_folder: str = _key("where; empty means the user's state folder")
    history_days: int = _key(
        "days that are kept on disk", default=7, bound=Bound(least=1, most=3650)
    )
    history_mib: int = _key(
        "size of all that is kept on disk, in MiB", default=2048, bound=Bound(least=1, most=1 << 20)
    )
    clickhouse: str = _key(
        "keep them in ClickHouse instead: its address, as https://host:8443", bound=_URL
    )
    clickhouse_user: str = _key(
        "user there; the password is CLICKHOUSE_PASSWORD in the environment", default="default"
    )
    clickhouse_database: str = _key("database there, which must exist", default="default")


@dataclass(frozen=True, slots=True, kw_only=True)
class UiSettings:
    """How the terminal looks."""

    theme: str = _key("colour theme", default="k8tre-dark")
    glyphs: str = _key(
        "symbols: auto (by locale), unicode or ascii",
        default="auto",
        bound=Bound(choices=("auto", "unicode", "ascii")),
    )
    mouse: bool = _key("react to the mouse", default=True)
    favourites: tuple[str, ...] = _key("namespaces on the keys 1 to 9", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoSettings:
    """The GitOps repository that drafts go to."""

    path: str = _key("local checkout; empty means that of the snapshot, if it is one")
    base: str = _key("branch that drafts start from; empty means the current one")
    github: str = _key(
        "owner/name on GitHub, for pull requests",
        bound=Bound(form=r"[\w.-]{1,100}/[\w.-]{1,100}", example="OWNER/NAME"),
    )
    api: str = _key(
        "address of the GitHub API, or of a GitHub Enterprise Server",
        default="https://api.github.com",
        bound=_URL,
    )
    github_app: str = _key(
        "client id of a GitHub App that opens them; its key is in K8TRE_TUI_GITHUB_APP_KEY[_FILE]",
        bound=Bound(form=r"[A-Za-z0-9._-]{1,64}", example="Iv23liABCDEF"),
    )
    gitea: str = _key(
        "owner/name on Gitea or Forgejo, for pull requests; goes before repo.github",
        bound=Bound(form=r"[\w.-]{1,100}/[\w.-]{1,100}", example="OWNER/NAME"),
    )
    gitea_url: str = _key("address of the Gitea or Forgejo, as https://git.example.org", bound=_URL)
    gitlab: str = _key(
        "group/name of the project on GitLab, for merge requests",
        bound=Bound(form=r"[\w.-]{1,100}(/[\w.-]{1,100}){1,20}", example="GROUP/NAME"),
    )
    gitlab_url: str = _key("address of the GitLab", default="https://gitlab.com", bound=_URL)
    disclosure: str = _key(
        "what a request may tell: auto (minimal where the forge says that everybody reads it),"
        " minimal or full",
        default="auto",
        bound=Bound(choices=("auto", "minimal", "full")),
    )
    read_only: bool = _key("submit no drafts anywhere: they are shown and no more", default=False)
    remote: str = _key("folder of a bare repository that --pr puts the branch into, without forge")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """What was parsed of files, kept so that they are read faster the next time."""

    enabled: bool = _key("keep it on disk, for its owner only", default=True)
    folder: str = _key("where; empty means the user's cache folder. It may be deleted any time")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """Boundaries that no draft may break."""

    boundaries: str = _key("TOML file of boundaries")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """Whom `alerts --notify` tells of alerts; a bearer token is ALERTS_TOKEN."""

    alertmanager: str = _key(
        "address of a Prometheus Alertmanager, as http://HOST:9093", bound=_URL
    )
    webhook: str = _key("address that is sent alerts as JSON (docs/forms.md 4.6)", bound=_URL)
    severity: str = _key(
        "from which severity on: high, medium, low or expected",
        default="medium",
        bound=Bound(choices=("high", "medium", "low", "expected")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BotSettings:
    """The chat bot: where it answers, whom, and how much it says. Ids, never names."""

    team: str = _key("id of the one workspace it answers, as T0123; in Slack it must be named")
    channels: tuple[str, ...] = _key("ids of the channels it answers in, as C0123", default=())
    operators: str = _key(
        "id of the channel where requests for changes are decided on; whoever reads it reads what "
        "they would open, of every project"
    )
    quiet: str = _key(
        "hours in which only severe alerts come at once, as 22:00-07:00 Europe/London"
    )
    users: tuple[str, ...] = _key(
        "ids of those who may ask; without them and roles everyone in these channels", default=()
    )
    level: str = _key(
        "minimal (workloads, no user names, paths or full addresses) or full",
        default="minimal",
        bound=Bound(choices=("minimal", "full")),
    )
    audit: str = _key("file of the audit log; empty means in the user's state directory")
    per_user: int = _key(
        "questions that one user may ask in a minute", default=10, bound=Bound(least=1, most=10_000)
    )
    per_channel: int = _key(
        "questions that may be asked in one channel in a minute",
        default=30,
        bound=Bound(least=1, most=100_000),
    )
    http: str = _key(
        "HOST:PORT where Slack's signed requests are taken; empty means Socket Mode, where nothing "
        "listens"
    )
    api: str = _key(
        "address of Slack's Web API; GovSlack has another",
        default="https://slack.com/api/",
        bound=_URL,
    )
    status: str = _key(
        "HOST:PORT where /healthz, /readyz and /metrics are served; empty means nowhere"
    )
    asker_as: str = _key(
        "whose rights an asker's answers are read with: user:NAME (impersonated) or context:NAME "
        "of the kubeconfig; empty means the bot's own"
    )
    drafter_as: str = _key("the same for drafters")
    operator_as: str = _key("the same for operators")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, by section. `keys` and `aliases` are free tables of the user's own names."""

    cluster: ClusterSettings = ClusterSettings()
    hubble: HubbleSettings = HubbleSettings()
    flows: FlowSettings = FlowSettings()
    ui: UiSettings = UiSettings()
    repo: RepoSettings = RepoSettings()
    cache: CacheSettings = CacheSettings()
    check: CheckSettings = CheckSettings()
    alerts: AlertSettings = AlertSettings()
    bot: BotSettings = BotSettings()
    projects: Mapping[str, str] = field(
        default_factory=dict,
        metadata={
            "help": "who may read a namespace's names in chat: its name or pattern, user ids or *"
        },
    )
    roles: Mapping[str, str] = field(
        default_factory=dict,
        metadata={
            "help": "who may ask, draft and decide in chat: id of a user, user group or channel, "
            "its role (asker, drafter, operator) and the namespaces it is limited to"
        },
    )
    keys: Mapping[str, str] = field(
        default_factory=dict, metadata={"help": "keys of actions, by the action's name"}
    )
    aliases: Mapping[str, str] = field(
        default_factory=dict, metadata={"help": "short names of commands"}
    )
    lint: Mapping[str, str] = field(
        default_factory=dict,
        metadata={"help": "rules that lint leaves out: a code, and the reason"},
    )


_CREDENTIALS = re.compile(r"://[^/?#\s]*@")
"""Source: RFC 3986 §3.2.1, `userinfo`."""

FREE_TABLES = ("projects", "roles", "keys", "aliases", "lint")


class Secret:
    """A secret that shows in no `repr`, log or traceback; `reveal` is the only way to it."""

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: str) -> None:
        self._value = value
        self.origin = origin

    def reveal(self) -> str:
        """The secret itself, to hand to the library that needs it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret(from {self.origin})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and the origin of every key that is not at its default, as `file:12`."""

    settings: Settings
    origins: Mapping[str, str]
    file: Path | None


def config_path(environ: Mapping[str, str]) -> Path:
    """Where the file is looked for: `K8TRE_TUI_CONFIG`, else the user's config directory."""
    if named := environ.get(PREFIX + "CONFIG"):
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path(APP) / "config.toml"


def load_settings(environ: Mapping[str, str], path: Path | None = None) -> Loaded:
    """Read the file (none is fine, unless `path` or the environment names it) and the environment.

    Raises `ConfigError` with file, line and key.
    """
    named = path is not None or bool(environ.get(PREFIX + "CONFIG"))
    file = path or config_path(environ)
    text = _read_file(file, must_exist=named)
    tree, origins = _parse_file(file, text) if text is not None else ({}, {})
    for name, key, value in _from_environment(environ):
        section, _, option = key.partition(".")
        tree.setdefault(section, {})[option] = value
        origins[key] = name
    return Loaded(_build(tree, origins), origins, file if text is not None else None)


def sections() -> Iterator[tuple[str, str, tuple[Field[Any], ...]]]:
    """Every section with its sentence and its keys, in order of declaration."""
    for section in fields(Settings):
        if section.name not in FREE_TABLES:
            kind: Any = type(section.default)
            yield section.name, str(kind.__doc__), fields(kind)


def known_keys() -> tuple[str, ...]:
    """Every key as `section.option`."""
    return tuple(f"{name}.{option.name}" for name, _, options in sections() for option in options)


def show(loaded: Loaded) -> Iterator[tuple[str, Any, str]]:
    """Every key with its value and its origin."""
    for name, _, options in sections():
        for option in options:
            key = f"{name}.{option.name}"
            value = _shown(getattr(getattr(loaded.settings, name), option.name))
            yield key, value, loaded.origins.get(key, "default")
    for table in FREE_TABLES:
        for word, value in getattr(loaded.settings, table).items():
            origin = loaded.origins.get(f"{table}.{word}", "default")
            yield f"{clean(table)}.{clean(word)}", clean(value), origin


def _shown(value: Any) -> Any:
    """A value without the credentials that stand in addresses."""
    return _CREDENTIALS.sub("://***@", value) if isinstance(value, str) else value


def example() -> str:
    """The example file: every key with its help, at its default and commented out."""
    lines = [f"# Settings of {APP}. Every key is at its default; uncomment it to change it.", ""]
    for name, doc, options in sections():
        lines += [f"# {doc}", f"[{name}]"]
        for option in options:
            lines += [f"# {option.metadata['help']}", f"# {option.name} = {_toml(option.default)}"]
        lines.append("")
    for name in FREE_TABLES:
        (table,) = (one for one in fields(Settings) if one.name == name)
        lines += [f"# {table.metadata['help'].capitalize()}.", f"[{name}]", ""]
    return "\n".join(lines).rstrip() + "\n"


def find_secret(environ: Mapping[str, str], *names: str) -> Secret | None:
    """The first of `names` that the environment holds, as `NAME_FILE` (a path) or as `NAME`.

    Raises `ConfigError` when the file cannot be read, or others than its owner can read it; the
    group may, where the kubelet mounted it so, and the secret's origin says it.
    """
    for name in names:
        if path := environ.get(f"{name}_FILE"):
            text, known = _read_secret_file(Path(path))
            return Secret(text, f"{name}_FILE{known}")
        if value := environ.get(name):
            return Secret(value, name)
    return None


def is_private(mode: int, owner: int, me: int) -> bool:
    """Whether a file is for its owner alone, or mounted for a group of ours.

    A Secret that Kubernetes mounts for a program that is not root belongs to root, and its
    `fsGroup` may read it: there is no other way to give it to that program.
    Source: Kubernetes, "Secrets" (`defaultMode`), "Configure a Security Context" (`fsGroup`).
    """
    others = stat.S_IMODE(mode) & 0o077
    return not others or (others == stat.S_IRGRP and owner == 0 and me != 0)


def _read_secret_file(path: Path) -> tuple[str, str]:
    """A secret, and what must be known of its file."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ConfigError(f"the secret file `{path}` is no regular file", file=str(path))
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the secret file `{path}`", file=str(path)) from error
    readable = stat.S_IMODE(about.st_mode) & 0o077 if os.name == "posix" else 0
    if not readable:
        return text, ""
    if not readable & ~0o040 and _is_mounted_secret(path):
        return text, ", a mounted secret that its group can read"
    mounted = "set `defaultMode: 0440` (or 0400) on the volume"
    raise ConfigError(
        f"the secret file `{path}` can be read by others",
        hint=mounted if _is_mounted_secret(path) else f"chmod 600 {path}",
        file=str(path),
    )


def _is_mounted_secret(path: Path) -> bool:
    """Whether a file is one of a mounted Secret, whose mode is that of the volume.

    The kubelet writes such a folder through a link `..data`
    (Kubernetes `pkg/volume/util/atomic_writer.go`).
    """
    return path.is_symlink() and (path.parent / "..data").is_symlink()


def _read_file(path: Path, *, must_exist: bool) -> str | None:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(SIZE_MAX + 1)
    except FileNotFoundError as error:
        if must_exist:
            raise ConfigError(f"no such file: `{path}`", file=str(path)) from error
        return None
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"cannot read `{path}`: {words}", file=str(path)) from error


def _parse_file(path: Path, text: str) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    try:
        tree = parse_toml(text)
    except BadInput as error:
        raise ConfigError(
            f"{path}:{error.line}: {error.message}", file=str(path), line=error.line
        ) from error
    origins: dict[str, str] = {}
    for section, table in tree.items():
        if not isinstance(table, dict):
            raise _unknown(path, text, section)
        for option in table:
            key = f"{section}.{option}"
            if section not in FREE_TABLES and key not in known_keys():
                raise _unknown(path, text, key)
            origins[key] = f"{path}:{_line_of(text, section, option)}"
    return tree, origins


def _unknown(path: Path, text: str, key: str) -> ConfigError:
    section, _, option = key.partition(".")
    line = _line_of(text, section, option)
    near = difflib.get_close_matches(key, known_keys(), n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`?" if near else f"known keys: {APP} config show"
    return ConfigError(
        f"{path}:{line}: unknown key `{key}`", hint=hint, file=str(path), line=line, key=key
    )


def _line_of(text: str, section: str, option: str) -> int:
    """The 1-based line of a key; that of its table's header where it has none of its own."""
    inside = ""
    header = 1
    word = re.compile(rf"\s*[\"']?{re.escape(option or section)}[\"']?\s*=")
    for number, line in enumerate(text.splitlines(), start=1):
        if table := re.match(r"\s*\[\s*([^\]]+?)\s*\]", line):
            inside = table.group(1)
            header = number if inside == section else header
        if word.match(line) and inside == (section if option else ""):
            return number
    return header


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    for name, _, options in sections():
        for option in options:
            variable = f"{PREFIX}{name}_{option.name}".upper()
            if (text := environ.get(variable)) is not None:
                yield variable, f"{name}.{option.name}", _from_text(option, text)


def _from_text(option: Field[Any], text: str) -> Any:
    """A value as an environment variable carries it: lists are separated by commas."""
    if isinstance(option.default, tuple):
        return [part for part in text.split(",") if part]
    if isinstance(option.default, bool):
        return {"1": True, "true": True, "0": False, "false": False}.get(text.lower(), text)
    if isinstance(option.default, int) and text.isdecimal():
        return int(text)
    return text


def _build(tree: Mapping[str, Mapping[str, Any]], origins: Mapping[str, str]) -> Settings:
    settings = Settings()
    for name, table in tree.items():
        kind: Any = dict[str, str] if name in FREE_TABLES else type(getattr(settings, name))
        try:
            settings = replace(settings, **{name: msgspec.convert(table, kind)})
        except msgspec.ValidationError as error:
            raise _wrong_value(name, error, origins) from error
    _check_bounds(settings, origins)
    return settings


def _check_bounds(settings: Settings, origins: Mapping[str, str]) -> None:
    for name, _, options in sections():
        for option in options:
            value = getattr(getattr(settings, name), option.name)
            bound: Bound = option.metadata["bound"]
            if said := _unprintable(value) or bound.objection(value):
                key = f"{name}.{option.name}"
                raise _wrong(key, said, origins.get(key, key))


def _unprintable(value: Any) -> str:
    texts = value if isinstance(value, tuple) else (value,)
    if all(is_clean(one) for one in texts if isinstance(one, str)):
        return ""
    return "control characters cannot stand here"


def _wrong_value(
    section: str, error: msgspec.ValidationError, origins: Mapping[str, str]
) -> ConfigError:
    said, _, at = str(error).partition(" - at `$.")
    key = f"{section}.{re.split(r'[`.[]', at)[0]}"
    return _wrong(key, f"{said[0].lower()}{said[1:]}", origins.get(key, section))


def _wrong(key: str, said: str, origin: str) -> ConfigError:
    file, _, line = origin.rpartition(":")
    return ConfigError(
        f"{origin}: `{key}`: {said}",
        file=file,
        line=int(line) if line.isdecimal() else 0,
        key=key,
    )


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    parts: Sequence[str] = [_toml(part) for part in value]
    return f"[{', '.join(parts)}]"
