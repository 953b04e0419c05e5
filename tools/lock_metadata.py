"""Records what every pinned package says that it needs, in `tests/setup/metadata.json`.

`tools/lock.sh` runs it after a change of the locks. pip reports the metadata of the
very files that the locks name; nothing is installed. `tests/setup/test_locks.py` reads the record.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "tests" / "setup" / "metadata.json"


def pins() -> list[str]:
    """Give every `name==version` of all locks, once, without extras, markers and hashes."""
    found = set()
    for lock in ROOT.glob("requirements*.lock"):
        for line in lock.read_text(encoding="utf-8").splitlines():
            if line[:1].isalnum():
                name, version = line.rstrip("\\").split(";")[0].split("==")
                found.add(f"{name.split('[')[0]}=={version.strip()}")
    return sorted(found)


def report(wanted: list[str]) -> list[dict[str, Any]]:
    """Ask pip for the metadata of exactly these."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "report.json"
        words = ["install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
        command = [sys.executable, "-m", "pip", *words, "--report", str(target), *wanted]
        subprocess.run(command, check=True)
        reported: list[dict[str, Any]] = json.loads(target.read_text(encoding="utf-8"))["install"]
    return reported


def main() -> None:
    """Write the record."""
    items = report(pins())
    record = {
        item["metadata"]["name"].lower().replace("_", "-").replace(".", "-"): {
            "version": item["metadata"]["version"],
            "requires_python": item["metadata"].get("requires_python", ""),
            "requires": sorted(item["metadata"].get("requires_dist", ())),
        }
        for item in items
    }
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
