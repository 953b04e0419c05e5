"""Relay behind TLS, as Helm's `hubble.relay.tls.server` sets it up."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from integrations.hubble.relay import Relay, Tls
from tests.testbed.hubble.server import RelayKeys, RelayServer

pytestmark = pytest.mark.testbed

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """A certificate authority of its own; files are `NAME.crt` and `NAME.key` in its folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._openssl("req", "-x509", *CURVE, "-subj", "/CN=ca", *self._pair("ca", "-out", "crt"))

    def issue(self, name: str, extension: str) -> None:
        """Make a key and a certificate signed by this authority."""
        (self._folder / "ext").write_text(extension)
        self._openssl("req", *CURVE, "-subj", f"/CN={name}", *self._pair(name, "-out", "csr"))
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext")
        self._openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.crt")

    def file(self, name: str) -> str:
        """The path of a file."""
        return str(self._folder / name)

    def _pair(self, name: str, option: str, suffix: str) -> tuple[str, ...]:
        return ("-keyout", f"{name}.key", option, f"{name}.{suffix}")

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self._folder, check=True, capture_output=True)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "pki")
    made.issue("relay", "subjectAltName=DNS:*.hubble-relay.cilium.io")
    made.issue("client", "extendedKeyUsage=clientAuth")
    return made


def server_keys(authority: Authority, *, mutual: bool = False) -> RelayKeys:
    flags = [
        "--tls-relay-server-cert-file",
        authority.file("relay.crt"),
        "--tls-relay-server-key-file",
        authority.file("relay.key"),
    ]
    client = Tls(ca_file=authority.file("ca.crt"))
    if mutual:
        flags += ["--tls-relay-client-ca-files", authority.file("ca.crt")]
        pair = (authority.file("client.crt"), authority.file("client.key"))
        client = replace(client, cert_file=pair[0], key_file=pair[1])
    return RelayKeys(flags, client)


def cause_of(server: RelayServer, tls: Tls | None) -> SourceCause | None:
    relay = Relay(lambda: server.address, tls)
    try:
        relay.status()
    except SourceUnavailable as error:
        return error.cause
    finally:
        relay.close()
    return None


def test_relay_when_it_speaks_tls_is_reached_by_its_conventional_name_alone(
    start_relay: Callable[..., RelayServer], authority: Authority, tmp_path: Path
) -> None:
    keys = server_keys(authority)
    server = start_relay(keys=keys)
    other_name = replace(keys.client, server_name="hubble.hubble-relay.cilium.io")
    wrong_name = replace(keys.client, server_name="relay.example.org")
    stranger = Authority(tmp_path / "stranger")
    assert cause_of(server, keys.client) is None
    assert cause_of(server, other_name) is None
    assert cause_of(server, wrong_name) is SourceCause.TLS
    assert cause_of(server, Tls(ca_file=stranger.file("ca.crt"))) is SourceCause.TLS
    assert cause_of(server, None) is SourceCause.REFUSED


def test_relay_when_it_speaks_no_tls_says_so(
    start_relay: Callable[..., RelayServer], authority: Authority
) -> None:
    assert cause_of(start_relay(), server_keys(authority).client) is SourceCause.TLS


def test_relay_when_it_asks_for_a_client_certificate_lets_only_its_own_in(
    start_relay: Callable[..., RelayServer], authority: Authority, tmp_path: Path
) -> None:
    keys = server_keys(authority, mutual=True)
    server = start_relay(keys=keys)
    stranger = Authority(tmp_path / "stranger")
    stranger.issue("client", "extendedKeyUsage=clientAuth")
    foreign = replace(
        keys.client, cert_file=stranger.file("client.crt"), key_file=stranger.file("client.key")
    )
    assert cause_of(server, keys.client) is None
    assert cause_of(server, Tls(ca_file=authority.file("ca.crt"))) is SourceCause.TLS
    assert cause_of(server, foreign) is SourceCause.TLS


def test_relay_when_a_key_file_is_missing_says_which(tmp_path: Path) -> None:
    missing = str(tmp_path / "no.crt")
    with pytest.raises(ConfigError) as caught:
        Relay(lambda: "127.0.0.1:1", Tls(ca_file=missing)).status()
    assert caught.value.file == missing
