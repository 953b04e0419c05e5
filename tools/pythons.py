"""Prints the Pythons CI tries beside the default: the oldest that is supported, the newest found.

Of several of one version, the system's own comes first: its pip is the oldest in use.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
PLACES = ("/usr/bin", "/usr/local/bin", *os.environ.get("PATH", "").split(os.pathsep))
ASK = "import ensurepip, sys; print(*sys.version_info[:2], sys.executable)"


def found() -> dict[tuple[int, int], str]:
    """Give, for each supported version, one Python that can make a virtual environment."""
    home = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [*map(Path, PLACES), *sorted(home.glob("versions/*/bin"))]
    pythons: dict[tuple[int, int], str] = {}
    for folder in folders:
        for name in ("python3", *(f"python3.{minor}" for minor in range(OLDEST[1], 30))):
            if not os.access(folder / name, os.X_OK):
                continue
            told = subprocess.run(
                [folder / name, "-c", ASK], capture_output=True, text=True, check=False
            )
            if told.returncode == 0 and (match := re.match(r"(\d+) (\d+) (\S+)", told.stdout)):
                version = (int(match[1]), int(match[2]))
                pythons.setdefault(version, match[3])
    return {version: path for version, path in pythons.items() if version >= OLDEST}


def main() -> None:
    """Print them, one a line; none where only the default is here."""
    pythons = found()
    wanted = (
        {version: pythons[version] for version in {min(pythons), max(pythons)}} if pythons else {}
    )
    default = os.path.realpath(sys.executable)
    for _, path in sorted(wanted.items()):
        if os.path.realpath(path) != default:
            print(path)


if __name__ == "__main__":
    main()
