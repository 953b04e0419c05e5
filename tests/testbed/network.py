"""A second host on this machine, whose packets can be made to vanish.

An `Island` is a network namespace joined to this one by a pair of virtual links. Cutting drops
packets without a word, as a firewall or a lost route does: nobody gets a reset, so only silence
tells. It needs root and iproute2; without them the tests are skipped and say so, which with
`TESTBED=required` is a failure.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest

READY_WITHIN_S = 10.0
_HERE, _THERE, _FIRST_EXTRA = 1, 2, 11


def ip(*words: str) -> None:
    """Run iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


def require_namespaces() -> None:
    """Skip, or fail where CI requires it, when no network namespace can be made."""
    reason = ""
    if shutil.which("ip") is None:
        reason = "needs iproute2 (apt-get install iproute2)"
    elif os.geteuid() != 0:
        reason = "needs root to make network namespaces"
    if reason and os.environ.get("TESTBED") == "required":
        pytest.fail(f"TESTBED=required, but it {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)


class Island:
    """Use as a context manager. `here` and `there` are the two ends of the link."""

    _made = itertools.count()

    def __init__(self) -> None:
        serial = next(self._made)  # a namespace lives on for as long as packets are on their way
        self._number = (os.getpid() * 16 + serial) % 250
        self.name = f"island-{os.getpid()}-{serial}"
        self.here, self.there = self._address(_HERE), self._address(_THERE)
        self._link = f"isle{self._number}"
        self._cut: dict[str, tuple[str, ...]] = {}
        self._children: list[subprocess.Popen[bytes]] = []

    def _address(self, last: int) -> str:
        return f"10.213.{self._number}.{last}"

    def __enter__(self) -> Self:
        ip("netns", "add", self.name)
        try:
            peer = ("peer", "name", "shore", "netns", self.name)
            ip("link", "add", self._link, "type", "veth", *peer)
            ip("address", "add", f"{self.here}/24", "dev", self._link)
            ip("link", "set", self._link, "up")
            for words in (
                ("address", "add", f"{self.there}/24", "dev", "shore"),
                ("link", "set", "shore", "up"),
                ("link", "set", "lo", "up"),
            ):
                ip("-n", self.name, *words)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.kill()
            child.communicate()
        for address in tuple(self._cut):
            self.mend(address)
        ip("netns", "delete", self.name)
        subprocess.run(["ip", "link", "delete", self._link], check=False, capture_output=True)

    def inside(self, *command: str) -> list[str]:
        """The command line that runs `command` on the island."""
        return ["ip", "netns", "exec", self.name, *command]

    def another_address(self, number: int) -> str:
        """One more address of this side, so that it can be cut alone."""
        address = self._address(_FIRST_EXTRA + number)
        ip("address", "add", f"{address}/24", "dev", self._link)
        return address

    def cut(self, address: str) -> None:
        """Let what is answered over `address` vanish.

        For `here` these are the island's answers to this side; for `another_address` this side's
        answers to the island. So whoever connects hears nothing.
        """
        undo = (
            ("-n", self.name, "route", "delete", "blackhole", f"{address}/32")
            if address == self.here
            else ("rule", "delete", "from", address, "blackhole")
        )
        ip(*("add" if word == "delete" else word for word in undo))
        self._cut[address] = undo

    def mend(self, address: str) -> None:
        """Undo `cut`."""
        ip(*self._cut.pop(address))

    def forward(self, port: int) -> int:
        """Lead a port of the island to a loopback port of this side, and give the former."""
        middle, outer = port + 1, port
        own = str(Path(__file__).resolve())
        self._spawn(sys.executable, own, self.here, str(middle), "127.0.0.1", str(port))
        inside = self.inside(sys.executable, own, self.there, str(outer), self.here, str(middle))
        self._spawn(*inside)
        return outer

    def _spawn(self, *command: str) -> None:
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._children.append(child)
        assert child.stdout is not None
        os.set_blocking(child.stdout.fileno(), False)
        deadline = time.monotonic() + READY_WITHIN_S
        while not child.stdout.read():
            if time.monotonic() > deadline or child.poll() is not None:
                raise RuntimeError(f"{command} did not listen")
            time.sleep(0.02)


async def _forward(host: str, port: int, to_host: str, to_port: int) -> None:
    """Copy bytes between every connection to `host:port` and one to the other address."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(to_host, to_port)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(serve, host, port)
    os.write(sys.stdout.fileno(), b"listening\n")
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_forward(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
