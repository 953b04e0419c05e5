"""GET requests to the API server, and nothing else.

Authentication and transport are the `kubernetes` package's (kubeconfig contexts, tokens, client
certificates, proxies, in-cluster), except for exec plugins, which `plugin` runs. Bodies stay
bytes: lists and watches are decoded elsewhere. There is one method that sends, it sends GET, and a
test holds it to that.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from app.core.documents.packed import cut_lines
from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from app.core.text import clean
from integrations.kubernetes.plugin import Plugin, plugin_of
from integrations.kubernetes.wire import Status

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 60.0
"""Until the end of an answer that is no stream, however it comes in."""
MOST_BYTES = 256 << 20
"""Bytes of an answer, unpacked; a page of 500 objects at etcd's limit would be 750 MiB, and is
asked for as a stream where the server can."""
MOST_REFUSAL_BYTES = 1 << 20
POOL_SIZE = 64
"""One connection per watch and some to spare; urllib3 opens more when it must and drops them."""

_HTTP_UNAUTHORIZED, _HTTP_FORBIDDEN, _HTTP_NOT_FOUND = 401, 403, 404
_HTTP_GONE, _HTTP_TOO_MANY, _HTTP_SERVER_ERROR, _HTTP_OK = 410, 429, 500, 200
LONGEST_LINE = 64 << 20
"""Bytes of one watch event; etcd takes objects of 1.5 MiB."""
_MALFORMED = (
    yaml.YAMLError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)
"""What the kubernetes package lets through of a kubeconfig that is none."""
_CHUNK = 1 << 16
_status = msgspec.json.Decoder(Status)


class GoneError(SourceUnavailable):
    """410: the position asked for is older than the server remembers."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where to look for a cluster; everything empty means kubectl's own defaults.

    `user` is who to be there instead of oneself, with that user's rights.
    Source: Kubernetes, "User impersonation" (`Impersonate-User`, needs the verb `impersonate`).
    """

    kubeconfig: str = ""
    context: str = ""
    user: str = ""


class ApiServer:
    """One API server. Safe for use from many threads."""

    def __init__(
        self,
        api: Any,
        name: str,
        plugin: Plugin | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`api` is a configured `kubernetes.client.ApiClient`; it stays inside this module."""
        self._now = now
        self._api = api
        self._plugin = plugin
        self._lock = threading.Lock()
        self.name = name

    @property
    def configuration(self) -> Any:
        """The client configuration, for the port-forward WebSocket."""
        return self._api.configuration

    def signed(self, path: str, query: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Give URL and headers of a GET, with credentials as they are now.

        Runs the kubeconfig's exec plugin when its token has expired, so it may block.
        """
        with self._lock:  # neither the plugin nor the refresh hook of the package is thread-safe
            if self._plugin and self._plugin.freshen(self.configuration):
                self._api.rest_client.pool_manager.clear()  # connections of the old certificate
            _, url, headers, _, _ = self._api.param_serialize(
                "GET",
                path,
                query_params=list(query.items()),
                header_params={"Accept": "application/json"},
                auth_settings=["BearerToken"],
            )
        return str(url), dict(headers)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """Give the body of one answer. Raises `SourceUnavailable`, `GoneError` for 410."""
        with self._open(path, query or {}, READ_TIMEOUT_S) as response, _translated(self.name):
            return self._whole(response, MOST_BYTES)

    def _whole(self, response: Any, most: int) -> bytes:
        """Read an answer to its end, which has to come: bytes and time are bounded."""
        content, until = bytearray(), self._now() + ANSWER_TIMEOUT_S
        for part in response.stream(_CHUNK):
            content += part
            if len(content) > most:
                raise SourceUnavailable(
                    f"an answer is longer than {most >> 20} MiB",
                    source=self.name,
                    cause=SourceCause.PROTOCOL,
                    hint="is this a Kubernetes API server?",
                )
            if self._now() > until:
                raise SourceUnavailable(
                    f"an answer did not end within {ANSWER_TIMEOUT_S:g} s",
                    source=self.name,
                    cause=SourceCause.TIMEOUT,
                )
        return bytes(content)

    @contextmanager
    def stream(
        self, path: str, query: Mapping[str, str], *, idle_timeout_s: float
    ) -> Iterator[LineStream]:
        """Open a stream of JSON lines that ends with an error after `idle_timeout_s` of silence."""
        with self._open(path, query, idle_timeout_s) as response:
            yield LineStream(response, self.name)

    @contextmanager
    def _open(self, path: str, query: Mapping[str, str], read_timeout_s: float) -> Iterator[Any]:
        import urllib3

        with _translated(self.name):
            url, headers = self.signed(path, query)
            response = self._api.rest_client.pool_manager.request(
                "GET",
                url,
                headers=headers,
                preload_content=False,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=read_timeout_s),
            )
        try:
            if response.status != _HTTP_OK:
                if response.status == _HTTP_UNAUTHORIZED and self._plugin:
                    self._plugin.rejected()
                with _translated(self.name):
                    body = self._whole(response, MOST_REFUSAL_BYTES)
                    raise _refusal(self.name, response.status, body)
            yield response
        finally:
            response.close()


class LineStream:
    """Lines of one response; `stop` may be called from another thread and ends the iteration."""

    def __init__(self, response: Any, source: str) -> None:
        self._response = response
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        with _translated(self._source):
            for lines in cut_lines(self._response.stream(_CHUNK), LONGEST_LINE):
                yield from (line for line in lines if line.endswith(b"\n") and line != b"\n")

    def stop(self) -> None:
        """Unblock a reader in another thread; harmless once the stream has ended."""
        with suppress(ValueError, OSError):  # urllib3 says so when there is no socket any more
            self._response.shutdown()


def connect(credentials: Credentials) -> ApiServer:
    """Configure a client as kubectl would; falls back to the pod's own account in a cluster.

    Raises `ConfigError` when nothing usable is found, `SourceUnavailable` when the kubeconfig's
    exec plugin fails. Does not touch the network, unless that plugin does.
    """
    from kubernetes import client, config
    from kubernetes.config.config_exception import ConfigException

    configuration = client.Configuration()
    configuration.connection_pool_maxsize = POOL_SIZE
    plugin = None
    try:
        if _in_cluster(credentials):
            config.load_incluster_config(client_configuration=configuration)
            name = "in-cluster"
        else:
            name, plugin = _load_kubeconfig(credentials, configuration)
    except (ConfigException, *_MALFORMED) as error:
        raise ConfigError(
            f"no usable kubeconfig: {clean(' '.join(str(error).split()), 400)}",
            file=credentials.kubeconfig,
            hint="set KUBECONFIG or --kubeconfig, or try --demo or --snapshot PATH",
        ) from error
    if not configuration.host.startswith(("https://", "http://")):
        raise ConfigError(
            f"no usable kubeconfig: the server's address is `{clean(configuration.host, 100)}`",
            file=credentials.kubeconfig,
            hint="it starts with https://",
        )
    configuration.retries = False
    if plugin:
        plugin.freshen(configuration)
    api = client.ApiClient(configuration)
    if credentials.user:
        api.set_default_header("Impersonate-User", credentials.user)
    return ApiServer(api, clean(name), plugin)


def context_names(credentials: Credentials) -> tuple[str, ...]:
    """The contexts of the kubeconfig, in its order; none when there is no kubeconfig to read."""
    from kubernetes import config
    from kubernetes.config.config_exception import ConfigException

    try:
        contexts, _ = config.list_kube_config_contexts(config_file=credentials.kubeconfig or None)
    except (ConfigException, *_MALFORMED):
        return ()
    return tuple(clean(str(one["name"])) for one in contexts)


def _in_cluster(credentials: Credentials) -> bool:
    asked = credentials.kubeconfig or credentials.context or os.environ.get("KUBECONFIG")
    present = "KUBERNETES_SERVICE_HOST" in os.environ
    return present and not asked and not (Path.home() / ".kube" / "config").exists()


def _load_kubeconfig(credentials: Credentials, configuration: Any) -> tuple[str, Plugin | None]:
    """Give the context's name and its exec plugin; all else goes into `configuration`."""
    from kubernetes import config
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger

    merged = KubeConfigMerger(credentials.kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION).config
    if merged is None:
        raise ConfigException("no configuration found")
    name = str(credentials.context or merged["current-context"])
    context = merged["contexts"].get_with_name(name)["context"]
    cluster = merged["clusters"].get_with_name(context["cluster"])
    plugin = None
    named = context.safe_get("user")
    user = merged["users"].get_with_name(named, safe=True) if named else None
    if user is not None and user.safe_get("user"):
        _refuse_commands(user["user"].value, user.path)
        plugin = plugin_of(user["user"].value, file=user.path, cluster=cluster["cluster"].value)
    config.load_kube_config_from_dict(
        merged, context=name, client_configuration=configuration, persist_config=False
    )
    return name, plugin


def _refuse_commands(user: Mapping[str, Any], file: str) -> None:
    """No command of an `auth-provider`: kubectl has run none since 1.26; the package would."""
    settings = (user.get("auth-provider") or {}).get("config") or {}
    if "cmd-path" in settings:
        raise ConfigError(
            "the kubeconfig has an auth-provider with a command, which kubectl no longer runs",
            file=file,
            key="users[].user.auth-provider",
            hint="replace it by an exec plugin (`gcloud container clusters get-credentials` does)",
        )


@contextmanager
def _translated(source: str) -> Iterator[None]:
    """The one place where transport errors become ours; the original stays chained."""
    import urllib3.exceptions as http
    from kubernetes.config.config_exception import ConfigException

    try:
        yield
    except ConfigException as error:
        raise SourceUnavailable(
            f"credentials could not be refreshed: {clean(str(error))}",
            source=source,
            cause=SourceCause.UNAUTHENTICATED,
            hint="log in again with the command your cluster uses",
        ) from error
    except (http.HTTPError, OSError) as error:
        cause, words = _transport_cause(error)
        raise SourceUnavailable(words, source=source, cause=cause) from error
    except ValueError as error:  # `http.client.HTTPConnection.putheader` takes no such value
        raise SourceUnavailable(
            "the credentials hold a character that no HTTP header carries",
            source=source,
            cause=SourceCause.UNAUTHENTICATED,
            hint="look at the user's token in the kubeconfig",
        ) from error


def _transport_cause(error: BaseException) -> tuple[SourceCause, str]:
    import urllib3.exceptions as http

    inner = getattr(error, "reason", None)
    chain = (error, inner) if isinstance(inner, BaseException) else (error,)
    table: tuple[
        tuple[type[BaseException] | tuple[type[BaseException], ...], SourceCause, str], ...
    ]
    table = (
        ((http.NameResolutionError, socket.gaierror), SourceCause.DNS, "its name does not resolve"),
        ((http.SSLError, ssl.SSLError), SourceCause.TLS, "the TLS handshake failed"),
        (http.NewConnectionError, SourceCause.REFUSED, "it refused the connection"),
        ((http.TimeoutError, TimeoutError), SourceCause.TIMEOUT, "it did not answer in time"),
        (OSError, SourceCause.REFUSED, "the connection broke"),
    )
    for kinds, cause, words in table:
        if any(isinstance(link, kinds) for link in chain):
            return cause, f"{words} ({clean(str(error), 200)})"
    return SourceCause.PROTOCOL, f"the connection broke ({clean(str(error), 200)})"


def _refusal(source: str, code: int, body: bytes) -> SourceUnavailable:
    """Turn an HTTP error with its Kubernetes `Status` body into our error."""
    try:
        said = clean(_status.decode(body).message or "", 400)
    except msgspec.MsgspecError:
        said = clean(body.decode(errors="replace"), 200)
    words = said or f"HTTP {code}"
    if code == _HTTP_GONE:
        return GoneError(words, source=source, cause=SourceCause.CONFLICT)
    causes = {
        _HTTP_UNAUTHORIZED: (SourceCause.UNAUTHENTICATED, "log in again, then press ctrl+r"),
        _HTTP_FORBIDDEN: (SourceCause.FORBIDDEN, "see deploy/rbac.yaml for the rights needed"),
        _HTTP_NOT_FOUND: (SourceCause.NOT_FOUND, ""),
        _HTTP_TOO_MANY: (SourceCause.OVERLOADED, ""),
    }
    fallback = SourceCause.OVERLOADED if code >= _HTTP_SERVER_ERROR else SourceCause.PROTOCOL
    cause, hint = causes.get(code, (fallback, ""))
    return SourceUnavailable(words, source=source, cause=cause, hint=hint)
