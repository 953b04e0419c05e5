"""A real git repository for tests, made with plumbing commands only."""

import os
import subprocess
from pathlib import Path

POLICY = """\
# The notebooks of project lung
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: web
  namespace: lung
spec:
  endpointSelector: {}
  egress:
    - toEntities:
        - kube-apiserver
"""


def git(folder: Path, *args: str, stdin: str = "") -> str:
    identity = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", "op"), ("EMAIL", "op@example.org"))
    }
    done = subprocess.run(
        ["git", *args],
        cwd=folder,
        input=stdin.encode(),
        capture_output=True,
        check=True,
        env={**os.environ, **identity, "GIT_CONFIG_GLOBAL": "/dev/null"},
    )
    return done.stdout.decode()


def commit(folder: Path, files: dict[str, str], branch: str = "main", message: str = "m") -> str:
    """Commit files on a branch of a bare or normal repository and give the commit."""
    ref = f"refs/heads/{branch}"
    parent = git(folder, "for-each-ref", "--format=%(objectname)", ref).strip()
    lines = git(folder, "ls-tree", "-r", parent) if parent else ""
    entries = {}
    for line in lines.splitlines():
        entry, path = line.split("\t")
        entries[path] = entry
    for path, text in files.items():
        blob = git(folder, "hash-object", "-w", "--stdin", stdin=text).strip()
        entries[path] = f"100644 blob {blob}"
    index = folder / "test-index"
    for path, entry in entries.items():
        mode, _, blob = entry.split(" ")
        _update_index(folder, index, f"{mode},{blob},{path}")
    tree = _with_index(folder, index, "write-tree")
    index.unlink()
    parents = ["-p", parent] if parent else []
    sha = git(folder, "commit-tree", tree, *parents, "-m", message).strip()
    git(folder, "update-ref", ref, sha)
    return sha


def _update_index(folder: Path, index: Path, entry: str) -> None:
    _with_index(folder, index, "update-index", "--add", "--cacheinfo", entry)


def _with_index(folder: Path, index: Path, *args: str) -> str:
    env = {**os.environ, "GIT_INDEX_FILE": str(index)}
    done = subprocess.run(["git", *args], cwd=folder, capture_output=True, check=True, env=env)
    return done.stdout.decode().strip()


def bare(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main")
    commit(folder, files)
    return folder
