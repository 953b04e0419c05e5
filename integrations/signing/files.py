"""Signatures of files by the system's own tools: minisign, or ssh-keygen with an SSH key.

The private key is never read here beyond its first line, which says whose it is. The tools ask for
a passphrase at the terminal themselves.

Source: minisign(1) (`-S -s KEY -m FILE`), ssh-keygen(1) (`-Y sign -f KEY -n NAMESPACE FILE`).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from app.core.errors import BadInput, ConfigError
from app.core.text import clean

NAMESPACE = "k8tre-tui-evidence"
COMMENT = "k8tre-tui evidence"
LIMIT_S = 300.0
_MINISIGN = "untrusted comment:"
_SSH = ("-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-", "ecdsa-", "sk-")


def sign(file: Path, key: Path) -> Path:
    """Sign a file; gives where the signature is.

    Raises `BadInput` for what is no key, `ConfigError` where the tool is not there or refuses.
    """
    try:
        with key.open(encoding="utf-8", errors="replace") as stream:
            first = stream.readline(200)
    except OSError as error:
        why = error.strerror or str(error)
        raise BadInput(f"cannot read the key `{clean(str(key))}`: {why}") from error
    if first.startswith(_MINISIGN):
        signature = file.with_name(f"{file.name}.minisig")
        words = ["minisign", "-S", "-s", str(key), "-m", str(file), "-x", str(signature)]
        words += ["-t", COMMENT, "-c", COMMENT]
    elif first.startswith(_SSH):
        signature = file.with_name(f"{file.name}.sig")
        words = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(file)]
    else:
        raise BadInput(
            f"`{clean(str(key))}` is no key", hint="a secret key of minisign, or an SSH key"
        )
    signature.unlink(missing_ok=True)
    _run(words, signature)
    return signature


def _run(words: list[str], signature: Path) -> None:
    program = shutil.which(words[0])
    if program is None:
        raise ConfigError(f"`{words[0]}` is not installed", hint="or sign SHA256SUMS by hand")
    try:
        done = subprocess.run(  # noqa: S603  # a system's tool, with our own words and paths
            [program, *words[1:]], check=False, timeout=LIMIT_S, stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"`{words[0]}` did not sign: {clean(str(error), 200)}") from error
    if done.returncode or not signature.exists():
        said = clean(done.stderr.decode(errors="replace").strip().partition("\n")[0], 200)
        raise ConfigError(f"`{words[0]}` did not sign: {said or f'code {done.returncode}'}")
