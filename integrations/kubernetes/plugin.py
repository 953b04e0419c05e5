"""Credentials from the exec plugin of a kubeconfig, run so that it cannot reach the terminal.

The kubernetes package's own runner hands a plugin the terminal and the keyboard, waits for ever
and prints what the plugin wrote. Here a plugin has neither terminal nor input, a time and a length;
what it says becomes part of an error, cleaned.

The protocol is client.authentication.k8s.io v1 and v1beta1 as in client-go v0.35.3,
plugin/pkg/client/auth/exec/exec.go and pkg/apis/clientauthentication/v1/types.go.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import msgspec

from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from app.core.text import clean

LIMIT_S = 30.0
"""A plugin that takes longer is ended, with everything it started."""
LONGEST_OUTPUT = 1 << 20
_AGAIN_S = 5.0
"""After a failure, and after new credentials, the plugin is left alone for so long: dozens of
watches ask at once."""
_DRAIN_S = 0.2
"""A daemon that a plugin left behind may keep its pipes open; what is in them by then counts."""
_MISSING = "there is no such command"
_LOG_IN = "log in with the command your cluster uses; `kubectl get ns` runs the same plugin"
_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_CONFIG_KEY = "client.authentication.k8s.io/exec"
_CLUSTER_FIELDS = (
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
)

_running: set[int] = set()
"""Process groups; the program's end is theirs."""


class _Variable(msgspec.Struct):
    name: str
    value: str = ""


class ExecConfig(msgspec.Struct, rename="camel"):
    """`users[].user.exec` of a kubeconfig."""

    command: Annotated[str, msgspec.Meta(min_length=1)]
    api_version: str
    args: list[str] | None = None
    env: list[_Variable] | None = None
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: Literal["Never", "IfAvailable", "Always"] = "IfAvailable"


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _Credential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: Literal["ExecCredential"]
    status: _Status | None = None


# Described here, once: two threads that describe one type first at the same time crash msgspec.
_CREDENTIAL = msgspec.json.Decoder(_Credential)
msgspec.json.Decoder(ExecConfig)


class Plugin:
    """One plugin and what it gave last. Not safe for threads: its caller holds a lock."""

    def __init__(self, config: ExecConfig, *, folder: Path, cluster: Mapping[str, Any]) -> None:
        """`folder` is the kubeconfig's, `cluster` what it says of the cluster."""
        self._config = config
        self._folder = folder
        self._cluster = cluster
        self._files: Path | None = None
        self._expires_s: float | None = 0.0
        self._tried_s = -_AGAIN_S
        self._failed: SourceUnavailable | None = None

    @property
    def name(self) -> str:
        """The command without its folder."""
        return clean(Path(self._config.command).name, 60)

    def rejected(self) -> None:
        """The server did not take the credentials: get new ones before the next request."""
        if time.monotonic() - self._tried_s >= _AGAIN_S:
            self._expires_s = 0.0

    def freshen(self, configuration: Any) -> bool:
        """Put valid credentials into a client's configuration; True when its certificate changed.

        Raises `SourceUnavailable`, without running anything shortly after a failure.
        """
        if self._expires_s is None or time.time() < self._expires_s:
            return False
        if time.monotonic() - self._tried_s < _AGAIN_S:
            if self._failed is not None:
                raise self._failed
            return False
        try:
            status = self._ask()
            changed = self._take(status, configuration)
            self._failed = None
        except SourceUnavailable as error:
            self._failed = error
            raise
        finally:
            self._tried_s = time.monotonic()
        expires = status.expiration_timestamp
        self._expires_s = expires.timestamp() if expires else None
        return changed

    def _take(self, status: _Status, configuration: Any) -> bool:
        if status.token:
            if not (status.token.isascii() and status.token.isprintable()):
                raise self._failure("its token has characters that no header may carry")
            configuration.api_key["BearerToken"] = f"Bearer {status.token}"
        if not status.client_certificate_data:
            return False
        if self._files is None:
            self._files = Path(tempfile.mkdtemp(prefix="k8tre-tui-"))  # 0700
            weakref.finalize(self, shutil.rmtree, self._files, ignore_errors=True)
        for name, text in (
            ("cert", status.client_certificate_data),
            ("key", status.client_key_data),
        ):
            file = self._files / name
            file.touch(0o600)
            file.write_text(text)
            setattr(configuration, f"{name}_file", str(file))
        return True

    def _ask(self) -> _Status:
        if self._config.interactive_mode == "Always":
            raise self._failure("it wants a terminal (interactiveMode: Always), and gets none here")
        code, out, said = _run(self._arguments(), self._environment(), self._failure)
        if code:
            raise self._failure(f"it ended with {code}", said)
        try:
            given = _CREDENTIAL.decode(out)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._failure(
                f"its output is no ExecCredential ({clean(str(error), 200)})"
            ) from None
        if given.api_version != self._config.api_version:
            raise self._failure(
                f"it gave {clean(given.api_version, 60)} where {self._config.api_version} was asked"
            )
        status = given.status or _Status()
        if bool(status.client_certificate_data) != bool(status.client_key_data):
            raise self._failure("it gave a certificate or a key, not both")
        if not status.token and not status.client_certificate_data:
            raise self._failure("it gave neither token nor certificate")
        return status

    def _failure(self, words: str, said: bytes = b"") -> SourceUnavailable:
        """An error with the last lines of what the plugin wrote."""
        lines = [
            clean(line, 200) for line in said.decode(errors="replace").split("\n") if line.strip()
        ]
        told = f": {' / '.join(line.strip() for line in lines[-3:])}" if lines else ""
        return SourceUnavailable(
            f"the credential plugin `{self.name}` failed: {words}{told}",
            source="kubernetes",
            cause=SourceCause.UNAUTHENTICATED,
            hint=(clean(" ".join(self._config.install_hint.split()), 300) or _LOG_IN)
            if words == _MISSING
            else _LOG_IN,
        )

    def _arguments(self) -> list[str]:
        command = self._config.command
        if "/" in command:  # relative to the kubeconfig, as in kubectl
            command = str(self._folder / command)
        found = shutil.which(command)
        if found is None:
            raise self._failure(_MISSING)
        return [found, *(self._config.args or ())]

    def _environment(self) -> dict[str, str]:
        spec: dict[str, Any] = {"interactive": False}
        if self._config.provide_cluster_info:
            spec["cluster"] = self._cluster_info()
        info = {"apiVersion": self._config.api_version, "kind": "ExecCredential", "spec": spec}
        own = {one.name: one.value for one in self._config.env or ()}
        return {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(info)}

    def _cluster_info(self) -> dict[str, Any]:
        info = {name: self._cluster[name] for name in _CLUSTER_FIELDS if name in self._cluster}
        authority = self._cluster.get("certificate-authority")
        if authority and "certificate-authority-data" not in info:
            with suppress(OSError):  # the client names the file when it cannot read it either
                data = (self._folder / str(authority)).read_bytes()
                info["certificate-authority-data"] = base64.b64encode(data).decode()
        for extension in self._cluster.get("extensions") or ():
            if extension.get("name") == _CONFIG_KEY:
                info["config"] = extension.get("extension")
        return info


def plugin_of(user: dict[str, Any], *, file: str, cluster: Mapping[str, Any]) -> Plugin | None:
    """Take the exec plugin out of a kubeconfig's user, so that nobody else runs it.

    None where there is none, and where the user has a token or a password, which come first
    (client-go v0.35.3, exec.go, RoundTrip). Raises `ConfigError`.
    """
    raw = user.pop("exec", None)
    if raw is None or {"token", "tokenFile", "username"} & user.keys():
        return None
    try:
        config = msgspec.convert(raw, ExecConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"the kubeconfig's exec plugin is not of the right form: {clean(str(error), 200)}",
            file=file,
            key="users[].user.exec",
        ) from None
    if config.api_version not in _VERSIONS:
        raise ConfigError(
            f"the kubeconfig's exec plugin speaks `{clean(config.api_version, 80)}`",
            file=file,
            key="users[].user.exec.apiVersion",
            hint=f"it is one of {', '.join(_VERSIONS)}",
        )
    return Plugin(config, folder=Path(file).expanduser().absolute().parent, cluster=cluster)


def _run(
    arguments: list[str], environment: Mapping[str, str], failure: Any
) -> tuple[int, bytes, bytes]:
    """Give exit code, output and talk of a command that has no terminal and no input."""
    try:
        process = subprocess.Popen(  # noqa: S603  # what the kubeconfig's owner wrote there
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # no controlling terminal: /dev/tty cannot be opened
        )
    except (OSError, ValueError) as error:
        raise failure(f"it cannot be run ({clean(str(error), 200)})") from error
    _running.add(process.pid)
    try:
        return _collect(process, failure)
    finally:
        _end(process.pid)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _collect(process: subprocess.Popen[bytes], failure: Any) -> tuple[int, bytes, bytes]:
    texts: dict[IO[bytes], bytearray] = {}
    end_s = time.monotonic() + LIMIT_S
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                texts[pipe] = bytearray()
                selector.register(pipe, selectors.EVENT_READ)
        out, said = texts.values()
        while selector.get_map() and (left_s := end_s - time.monotonic()) > 0:
            if process.poll() is not None:
                end_s = min(end_s, time.monotonic() + _DRAIN_S)
            for key, _ in selector.select(min(left_s, _DRAIN_S)):
                read = os.read(key.fd, 1 << 16)
                texts[key.fileobj] += read  # type: ignore[index]
                if not read:
                    selector.unregister(key.fileobj)
            if max(len(out), len(said)) > LONGEST_OUTPUT:
                raise failure(f"it wrote more than {LONGEST_OUTPUT >> 20} MiB")
    try:
        code = process.wait(max(0.0, end_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise failure(f"it took longer than {LIMIT_S:g} s and was ended", bytes(said)) from None
    return code, bytes(out), bytes(said)


def _end(group: int) -> None:
    """End a plugin and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    _running.discard(group)


@atexit.register
def _end_all() -> None:
    for group in tuple(_running):
        _end(group)
