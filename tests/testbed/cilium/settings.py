"""How a run's Cilium is set up, and what the machine must have for it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.testbed.binaries import FOLDER
from tests.testbed.cilium.spaces import cgroup_root

VERSION = os.environ.get("CILIUM_VERSION") or "1.19.3"
"""Which release's agent carries the packets: one setting for all of it."""

TOOLS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "iptables-save": "iptables",
    "ipset": "ipset",
    "bpftool": "bpftool",
    "modprobe": "kmod",
    "openssl": "openssl",
}
COMPILERS = ("clang", "llc")
COMPILER_VERSIONS = (19, 18, 17)
"""Newest first; Cilium 1.19 builds its datapath with LLVM 19.
Source: Cilium `images/runtime/Dockerfile` and `Documentation/network/ebpf/`."""

SERVERS = ("hubble", "hubble-relay", "etcd", "kube-apiserver")


@dataclass(frozen=True, slots=True)
class Mode:
    """The settings of an agent that packets depend on, as `cilium-config` has them."""

    tunnel: bool = False
    ipv6: bool = False
    version: str = VERSION

    @property
    def config(self) -> dict[str, str]:
        """What the ConfigMap `cilium-config` says; the agent gets the same as flags."""
        routing = {"routing-mode": "native", "ipv4-native-routing-cidr": "10.244.0.0/16"}
        if self.tunnel:
            routing = {"routing-mode": "tunnel", "tunnel-protocol": "vxlan"}
        elif self.ipv6:
            routing["ipv6-native-routing-cidr"] = "fd00:244::/32"
        return {
            "kube-proxy-replacement": "true",
            "enable-policy": "default",
            "enable-host-firewall": "true",
            "enable-local-redirect-policy": "true",
            "enable-ipv4": "true",
            "enable-ipv6": str(self.ipv6).lower(),
            "enable-ipv4-masquerade": "false",
            "enable-ipv6-masquerade": "false",
            "identity-allocation-mode": "crd",
            "ipam": "kubernetes",
            "enable-hubble": "true",
            "monitor-aggregation": "medium",
            **routing,
        }


def compiler(name: str) -> str | None:
    """The path of a compiler by its newest known version."""
    names = (*(f"{name}-{number}" for number in COMPILER_VERSIONS), name)
    return next((path for one in names if (path := shutil.which(one))), None)


def missing(version: str = VERSION) -> list[str]:
    """What the machine lacks, each in words that say how to get it."""
    lacks = []
    if os.geteuid() != 0:
        lacks.append("root, to make network namespaces and load BPF programs")
    packages = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if any(compiler(name) is None for name in COMPILERS):
        packages += ["clang-19", "llvm-19"]
    if packages:
        lacks.append(f"apt-get install --no-install-recommends {' '.join(packages)}")
    if cgroup_root() is None:
        lacks.append("a mounted cgroup v2")
    if not Path("/sys/kernel/btf/vmlinux").exists():
        lacks.append("a kernel with BTF (CONFIG_DEBUG_INFO_BTF)")
    binaries = [*SERVERS, *(f"cilium-{version}/{name}" for name in ("cilium-agent", "cilium-cni"))]
    if lacking := [name for name in binaries if not (FOLDER / name).exists()]:
        build = f"tests/testbed/build.sh {FOLDER} kube hubble cilium; takes Go"
        lacks.append(f"{', '.join(lacking)} ({build})")
    return lacks


def require_cilium(version: str = VERSION) -> Path:
    """Give the folder of the binaries; skip, or fail where CI requires them, when one lacks."""
    lacks = missing(version)
    if not lacks:
        return FOLDER
    reason = f"needs {'; '.join(lacks)}"
    if os.environ.get("TESTBED") == "required":
        pytest.fail(f"TESTBED=required, but it {reason}", pytrace=False)
    pytest.skip(reason)
