"""A real Gitea on the loopback, with SQLite in a folder of its own."""

from __future__ import annotations

import base64
import os
import pwd
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_SETTINGS = """\
APP_NAME = testbed
RUN_USER = {user}
RUN_MODE = prod
WORK_PATH = {folder}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
LOCAL_ROOT_URL = http://127.0.0.1:{port}/
DISABLE_SSH = true
OFFLINE_MODE = true
STATIC_ROOT_PATH = {static}
APP_DATA_PATH = {folder}/data
LFS_START_SERVER = false
[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = {folder}/repos
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = only-for-tests
PASSWORD_COMPLEXITY = off
PASSWORD_HASH_ALGO = pbkdf2_v1
[oauth2]
ENABLED = false
[service]
DISABLE_REGISTRATION = true
[log]
MODE = file
LEVEL = Warn
ROOT_PATH = {folder}/log
[session]
PROVIDER = memory
[indexer]
ISSUE_INDEXER_TYPE = db
[actions]
ENABLED = false
[packages]
ENABLED = false
[cron]
ENABLED = false
[mailer]
ENABLED = false
"""
_START_S = 60.0
_TOKEN = re.compile(r"\b[0-9a-f]{40}\b")
PASSWORD = "only-for-tests-123"


@dataclass(slots=True)
class Server:
    """A running Gitea, and its API as its administrator `bot`, who owns what is made here."""

    url: str
    token: str

    def api(self, method: str, path: str, body: Any = None, *, token: str = "") -> Any:
        """Ask, and give the decoded answer; AssertionError with its words when it is no success."""
        headers = {"Authorization": f"token {token or self.token}"}
        answer = httpx.request(
            method, f"{self.url}/api/v1{path}", json=body, headers=headers, trust_env=False
        )
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def repository(self, name: str, files: Mapping[str, str]) -> str:
        """Make a repository with files on `main`; give its path in the API."""
        self.api("POST", "/user/repos", {"name": name, "auto_init": True, "default_branch": "main"})
        self.commit(f"/repos/bot/{name}", files)
        return f"/repos/bot/{name}"

    def commit(self, repository: str, files: Mapping[str, str], branch: str = "main") -> str:
        """Commit files to a branch as a person does; give the commit."""
        head = self.head(repository, branch)
        present = self.api("GET", f"{repository}/git/trees/{head}?recursive=true")["tree"]
        blobs = {one["path"]: one["sha"] for one in present}
        changes = [
            {
                "operation": "update" if path in blobs else "create",
                "path": path,
                "content": base64.b64encode(text.encode()).decode(),
                **({"sha": blobs[path]} if path in blobs else {}),
            }
            for path, text in files.items()
        ]
        body = {"branch": branch, "message": "by hand", "files": changes}
        return str(self.api("POST", f"{repository}/contents", body)["commit"]["sha"])

    def text(self, repository: str, path: str, branch: str) -> str:
        """A file's text on a branch."""
        found = self.api("GET", f"{repository}/contents/{path}?ref={branch}")
        return base64.b64decode(found["content"]).decode()

    def pulls(self, repository: str) -> list[Any]:
        """Every pull request, the newest first."""
        return list(self.api("GET", f"{repository}/pulls?state=all"))

    def head(self, repository: str, branch: str) -> str:
        """The commit of a branch."""
        return str(self.api("GET", f"{repository}/branches/{branch}")["commit"]["id"])


@contextmanager
def running(binaries: Path, folder: Path) -> Iterator[Server]:
    """Start Gitea, and end it afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "custom/conf/app.ini"
    manifest = folder / "custom/public/assets/.vite/manifest.json"
    for file, text in (
        (config, _settings(folder, port, binaries / "gitea-static")),
        (manifest, "{}"),  # the bundle of web pages is not in the Go module
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "home").mkdir()
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "GITEA_WORK_DIR": str(folder),
        "GITEA_CUSTOM": str(folder / "custom"),
    }
    command = [str(binaries / "gitea"), "-c", str(config)]
    subprocess.run([*command, "migrate"], env=env, check=True, capture_output=True)
    user = [
        "--admin",
        "--username",
        "bot",
        "--password",
        PASSWORD,
        "--email",
        "bot@example.invalid",
    ]
    token = ["--must-change-password=false", "--access-token", "--access-token-scopes", "all"]
    made = subprocess.run(
        [*command, "admin", "user", "create", *user, *token],
        env=env,
        check=True,
        capture_output=True,
    ).stdout.decode()
    found = _TOKEN.search(made)
    assert found is not None, made
    process = subprocess.Popen(
        [*command, "web"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        server = Server(f"http://127.0.0.1:{port}", found[0])
        _wait(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _settings(folder: Path, port: int, static: Path) -> str:
    user = pwd.getpwuid(os.getuid()).pw_name
    return _SETTINGS.format(user=user, folder=folder, port=port, static=static)


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        assert process.poll() is None, "Gitea has ended"
        try:
            httpx.get(f"{server.url}/api/v1/version", trust_env=False).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("Gitea does not answer")
