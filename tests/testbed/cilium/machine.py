"""What a run must leave as it found it: the machine's own network, cgroups, mounts and BPF.

A `Footprint` holds everything that a run could have changed; two of them are compared. Counters and
what other runs own are left out, so that two runs beside each other do not accuse one another.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.testbed.cilium.spaces import NETNS, PREFIX, cgroup_root

_SYSCTLS = (Path("/proc/sys/net"), Path("/proc/sys/kernel"))
_RESTLESS = re.compile(
    r"random/|/ns_last_pid|/pty/nr|conntrack_count|/dentry|tainted|/sched_domain|conf/isle|neigh/isle"
    r"|netfilter/nf_log|perf_event|/usermodehelper|keys/|/hostname$|netdev_rss_key"
)
"""Values that change by themselves, and those of the links of other tests."""

_OTHERS = re.compile(rf"^(island-|isle\d|{PREFIX}\d)")


@dataclass(frozen=True, slots=True)
class Footprint:
    """What was there, by the name of the place that holds it."""

    parts: Mapping[str, frozenset[str]]

    def changes_to(self, later: Footprint) -> list[str]:
        """Every line that came or went, with the part that it belongs to."""
        found = []
        for part, lines in self.parts.items():
            found += [f"{part}: gone: {line}" for line in sorted(lines - later.parts[part])]
            found += [f"{part}: new: {line}" for line in sorted(later.parts[part] - lines)]
        return found


def take_footprint(own: str = "") -> Footprint:
    """Look at the machine; what is named `own` counts, what other runs are named does not."""
    parts: dict[str, frozenset[str]] = {
        "links": frozenset(_links()),
        "addresses": frozenset(_lines("ip", "-o", "address")),
        "routes": frozenset(_lines("ip", "route", "show", "table", "all")),
        "rules": frozenset(_lines("ip", "rule")),
        "netfilter": frozenset((*_netfilter("iptables-save"), *_netfilter("ip6tables-save"))),
        "ipsets": frozenset(_lines("ipset", "list", "-name")),
        "namespaces": frozenset(one.name for one in NETNS.iterdir())
        if NETNS.exists()
        else frozenset(),
        "cgroups": frozenset(_cgroups()),
        "mounts": frozenset(_mounts()),
        "bpf attachments": frozenset(_attachments()),
        "bpf files": frozenset(str(one) for one in Path("/sys/fs/bpf").glob("**/*")),
        "sysctls": frozenset(_sysctls()),
        "run files": frozenset(str(one) for one in Path("/run").glob("*cilium*")),
        "scratch": frozenset(str(one) for one in Path("/tmp").glob(f"{PREFIX}*")),  # noqa: S108
    }
    return Footprint({part: _of_interest(lines, own) for part, lines in parts.items()})


def _of_interest(lines: frozenset[str], own: str) -> frozenset[str]:
    def is_other(line: str) -> bool:
        names = re.findall(r"[\w.-]+", line)
        return any(_OTHERS.match(name) and not (own and name.startswith(own)) for name in names)

    return frozenset(line for line in lines if not is_other(line))


def _lines(*command: str) -> list[str]:
    if shutil.which(command[0]) is None:
        return []
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return [" ".join(line.split()) for line in ended.stdout.splitlines()]


def _links() -> Iterator[str]:
    for link in json.loads("".join(_lines("ip", "-j", "link")) or "[]"):
        yield " ".join(f"{key} {link.get(key)}" for key in ("ifname", "operstate", "mtu", "xdp"))


def _netfilter(command: str) -> list[str]:
    """The rules without their counters and the comments that carry the time."""
    lines = (line for line in _lines(command) if not line.startswith("#"))
    return [re.sub(r" \[\d+:\d+\]", "", f"{command}: {line}") for line in lines]


def _cgroups() -> Iterator[str]:
    if (root := cgroup_root()) is not None:
        yield from (str(one) for one in root.glob("*/"))


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        yield " ".join(line.split()[1:3])


def _attachments() -> Iterator[str]:
    """Programs on devices and cgroups of the machine itself."""
    for group in _json("bpftool", "-j", "net"):
        for kind, programs in group.items():
            yield from (f"{kind} {one.get('devname')} {one.get('name')}" for one in programs)
    root = cgroup_root()
    for one in _json("bpftool", "-j", "cgroup", "tree", str(root)) if root else ():
        for program in one.get("programs", ()):
            yield f"{one['cgroup']} {program.get('attach_type')} {program.get('name')}"


def _json(*command: str) -> list[dict[str, Any]]:
    text = "".join(_lines(*command))
    loaded: list[dict[str, Any]] = json.loads(text) if text else []
    return loaded


def _sysctls() -> Iterator[str]:
    for root in _SYSCTLS:
        for file in root.glob("**/*"):
            if file.is_dir() or _RESTLESS.search(str(file)):
                continue
            try:
                yield f"{file} {' '.join(file.read_text(encoding='utf-8').split())}"
            except (OSError, UnicodeDecodeError):
                continue  # some can only be written
