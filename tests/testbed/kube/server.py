"""A real kube-apiserver with its etcd, on free ports of the loopback, for as long as a test wants.

Keys are made by openssl; tokens are static: `admin` may do everything, `reader` what its role says,
`nobody` nothing. Data are thrown away, so the end is a kill.
"""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

READY_WITHIN_S = 90.0
"""Far above the usual three seconds: a build may be running beside it."""


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class KubeServer:
    """Start, stop, freeze and write to a private API server."""

    def __init__(self, folder: Path, binaries: Path, extra: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self._binaries = binaries
        self._extra = extra
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._etcd_port, self._etcd_peer_port, self._port = free_ports(3)
        self._tls = ssl.create_default_context()

    @property
    def port(self) -> int:
        """Its port on the loopback."""
        return self._port

    def start(self) -> None:
        """Make keys, start both processes and wait until it is ready."""
        (self.folder / "pki").mkdir(parents=True, exist_ok=True)
        self._make_keys()
        self._write_kubeconfig()
        self._tls = ssl.create_default_context(cafile=str(self.folder / "pki/ca.crt"))
        self._start_etcd()
        self.start_apiserver()

    def _make_keys(self) -> None:
        pki = self.folder / "pki"
        if (pki / "ca.crt").exists():
            return

        def openssl(*words: str) -> None:
            subprocess.run(["openssl", *words], cwd=pki, check=True, capture_output=True)

        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sa.key")
        openssl("ec", "-in", "sa.key", "-pubout", "-out", "sa.pub")
        ca = ("-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.crt", "-days", "30")
        openssl("req", "-x509", *curve, *ca)
        names = {"apiserver": "/CN=kube-apiserver", "client": "/O=readers/CN=client"}
        usage = {
            "apiserver": "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "client": "extendedKeyUsage=clientAuth",
        }
        for name, subject in names.items():
            pair = ("-keyout", f"{name}.key", "-out", f"{name}.csr")
            openssl("req", *curve, "-subj", subject, *pair)
            (pki / f"{name}.ext").write_text(usage[name])
            signed = ("-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext")
            by_ca = ("-CA", "ca.crt", "-CAkey", "ca.key", *signed, "-out", f"{name}.crt")
            openssl("x509", "-req", "-in", f"{name}.csr", *by_ca)

    def _write_kubeconfig(self) -> None:
        pki = self.folder / "pki"
        users = {
            "admin": {"token": "admin-token"},
            "reader": {"token": "reader-token"},
            "nobody": {"token": "nobody-token"},
            "stranger": {"token": "no-such-token"},
            "client": {
                "client-certificate": str(pki / "client.crt"),
                "client-key": str(pki / "client.key"),
            },
            "plugin": {
                "exec": {
                    "apiVersion": "client.authentication.k8s.io/v1",
                    "command": str(self._exec_plugin()),
                    "interactiveMode": "Never",
                }
            },
        }
        cluster = {
            "server": f"https://127.0.0.1:{self._port}",
            "certificate-authority": str(pki / "ca.crt"),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "t", "cluster": cluster}],
            "users": [{"name": name, "user": user} for name, user in users.items()],
            "contexts": [
                {"name": name, "context": {"cluster": "t", "user": name}} for name in users
            ],
            "current-context": "admin",
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))
        tokens = 'admin-token,admin,u0,"system:masters"\nreader-token,reader,u1,"readers"\n'
        (self.folder / "tokens.csv").write_text(tokens + "nobody-token,nobody,u2\n")

    def _exec_plugin(self) -> Path:
        """A credential plugin that counts its runs and hands out the reader's token."""
        plugin = self.folder / "plugin.sh"
        answer = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {"token": "reader-token"},
        }
        plugin.write_text(f"#!/bin/sh\necho run >> {plugin}.runs\necho '{json.dumps(answer)}'\n")
        plugin.chmod(0o700)
        return plugin

    def _start_etcd(self) -> None:
        client, peer = (
            f"http://127.0.0.1:{port}" for port in (self._etcd_port, self._etcd_peer_port)
        )
        self._spawn(
            "etcd",
            *("--data-dir", str(self.folder / "etcd"), "--name", "t", "--unsafe-no-fsync"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"t={peer}", "--log-level", "error"),
        )
        self._wait(lambda: socket.create_connection(("127.0.0.1", self._etcd_port), 0.2).close())

    def start_apiserver(self) -> None:
        """Start the API server on the kept etcd and the same port."""
        pki = "pki/"
        self._spawn(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--tls-cert-file={pki}apiserver.crt",
            f"--tls-private-key-file={pki}apiserver.key",
            f"--client-ca-file={pki}ca.crt",
            "--token-auth-file=tokens.csv",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}sa.pub",
            f"--service-account-signing-key-file={pki}sa.key",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
            "--profiling=false",
            *self._extra,
        )
        self._wait(lambda: self.call("GET", "/readyz"))

    def _spawn(self, name: str, *words: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        command = [str(self._binaries / name), *words]
        self._processes[name] = subprocess.Popen(
            command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT
        )
        log.close()

    def _wait(self, ready: Any) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                ready()
            except (OSError, KubeError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def signal(self, sent: signal.Signals) -> None:
        """Send a signal to the API server: SIGSTOP freezes it, SIGCONT thaws it."""
        self._processes["kube-apiserver"].send_signal(sent)

    def kill_apiserver(self) -> None:
        """End the API server as a crash would; etcd keeps what it had."""
        process = self._processes["kube-apiserver"]
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End everything."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    def call(self, method: str, path: str, body: Any = None, token: str = "admin-token") -> Any:
        """One request as the administrator; raises `KubeError` for an error status."""
        patch = "application/merge-patch+json"
        request = urllib.request.Request(  # loopback only
            f"https://127.0.0.1:{self._port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": patch if method == "PATCH" else "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=10, context=self._tls) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            raise KubeError(error.code, error.read().decode(errors="replace")) from error
        return json.loads(text) if text.startswith(b"{") else text

    def install_crds(self) -> None:
        """Post Cilium's definitions and wait until each kind can be listed."""
        root = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        files = [
            self._binaries / "crds" / f"{plural}.yaml"
            for plural in (
                "ciliumnetworkpolicies",
                "ciliumclusterwidenetworkpolicies",
                "ciliumidentities",
                "ciliumendpoints",
                "ciliumcidrgroups",
                "ciliumnodes",
            )
        ]
        for file in files:
            self.call("POST", root, yaml.load(file.read_text(), Loader=yaml.CSafeLoader))
        for file in files:
            self._wait(lambda plural=file.stem: self.call("GET", f"/apis/cilium.io/v2/{plural}"))


class KubeError(Exception):
    """An HTTP error of the API server."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text[:500]}")
        self.code = code
