"""Build the drivers of Cilium's own engine, one for each version, into `.build/oracle/`.

A driver is a Go program made of shared sources and what its version calls differently; it imports
Cilium as a Go module (`driver/cilium-*/go.mod`). A build is kept under a name made of the digest
of everything it is built from, so a second call costs nothing. Run as a program it builds all.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
DRIVER = HERE / "driver"
BUILD = HERE.parents[1] / ".build" / "oracle"

BUILD_TIMEOUT_S = 1500
"""A cold build downloads and compiles some 400 packages; minutes on two cores."""


class OracleUnavailable(Exception):
    """Cilium's engine cannot be asked here; the text says why."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver by the Cilium version it imports and the folders its sources come from."""

    version: str
    parts: tuple[str, ...]
    answers_requests: bool = False

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files it is built from; names are unique over the folders."""
        folders = (*self.parts, f"cilium-{self.version}")
        return tuple(sorted(path for folder in folders for path in (DRIVER / folder).iterdir()))

    @property
    def digest(self) -> str:
        """What changes when a build would."""
        content = hashlib.sha256()
        for path in self.sources:
            content.update(path.name.encode() + b"\0" + path.read_bytes())
        return content.hexdigest()[:16]

    def program(self, folder: Path) -> Path:
        """Where the built driver is, or will be."""
        return folder / f"cilium-{self.version}-{self.digest}"


DRIVERS = (
    Driver("1.19.3", ("shared", "agent-1.19", "layer7"), answers_requests=True),
    Driver("1.19.7", ("shared", "agent-1.19", "layer4")),
    Driver("1.20.2", ("shared", "layer4")),
)


def build(driver: Driver, folder: Path = BUILD) -> Path:
    """Give the driver's program, building it when needed; `OracleUnavailable` says what failed."""
    program = driver.program(folder)
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        raise OracleUnavailable("Go is not installed, so Cilium's own engine cannot be built")
    work = folder / "source" / program.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for path in driver.sources:
        shutil.copyfile(path, work / path.name)
    finished = subprocess.run(  # our own sources, no shell
        [go, "build", "-ldflags=-s -w", "-o", "driver", "."],
        cwd=work,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if finished.returncode != 0:
        raise OracleUnavailable(f"cilium {driver.version}: go build failed\n{finished.stderr}")
    (work / "driver").replace(program)
    shutil.rmtree(work)
    return program


def main() -> int:
    """Build every driver and print where it is."""
    try:
        for driver in DRIVERS:
            sys.stdout.write(f"{build(driver)}\n")
    except OracleUnavailable as reason:
        sys.stderr.write(f"{reason}\n")
        return 3
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
