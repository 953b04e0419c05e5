"""Lint of a large checkout: 5,000 policies in 200 files, as a command would be run.

Prints name, value, unit and the bar, and beside it what kubeconform needs for the same tree where
it is installed. Run it: python benchmarks/lint.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

FILES = 200
PER_FILE = 25
BAR_S = 10.0
BAR_MIB = 500

_POLICY = """\
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: p{number}, namespace: ns{space}}}
spec:
  endpointSelector: {{matchLabels: {{app: app{app}, tier: {tier}}}}}
  ingress:
  - fromEndpoints: [{{matchLabels: {{app: app{peer}}}}}]
    toPorts: [{{ports: [{{port: "{port}", protocol: TCP}}]}}]
  - fromEntities: [host]
    toPorts: [{{ports: [{{port: "{port}", protocol: TCP}}]}}]
  egress:
  - toEndpoints: [{{matchLabels: {{k8s:io.kubernetes.pod.namespace: ns{other}, app: app{peer}}}}}]
    toPorts: [{{ports: [{{port: "8080", protocol: TCP}}]}}]
  - toFQDNs: [{{matchName: host{number}.example.org}}]
    toPorts: [{{ports: [{{port: "443", protocol: TCP}}]}}]
"""

_DNS = """\
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: dns}
spec:
  endpointSelector:
    matchExpressions: [{key: k8s:io.kubernetes.pod.namespace, operator: Exists}]
  egress:
  - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
    toPorts:
    - ports: [{port: "53", protocol: ANY}]
      rules: {dns: [{matchPattern: "*"}]}
"""


def write_tree(folder: Path) -> None:
    """Write the policies; every file is a namespace of its own."""
    for file in range(FILES):
        text = "".join(
            _POLICY.format(
                number=file * PER_FILE + at,
                space=file,
                other=(file + 1) % FILES,
                app=at,
                peer=(at + 3) % PER_FILE,
                tier="front" if at % 2 else "back",
                port=8000 + at,
            )
            for at in range(PER_FILE)
        )
        (folder / f"ns{file}.yaml").write_text(text)
    (folder / "dns.yaml").write_text(_DNS)


def timed(*command: str) -> tuple[float, float]:
    """Run a command; give its seconds, and the most memory that any child has had, in MiB."""
    started = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", _CHILD, *command], check=True, capture_output=True, text=True
    )
    return time.monotonic() - started, int(ran.stdout.split()[-1]) / 1024


_CHILD = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main() -> int:
    """Measure, and print a line for each figure; 1 when a bar is missed."""
    with TemporaryDirectory() as name:
        write_tree(Path(name))
        seconds, memory = timed(sys.executable, "-m", "app.cli", "lint", name, "-o", "json")
        peer = shutil.which("kubeconform")
        ratio = ""
        if peer is not None:
            other, _ = timed(peer, "-ignore-missing-schemas", name)
            ratio = f"  {seconds / other:.1f}x kubeconform"
    print(f"lint: {FILES * PER_FILE} policies  {seconds:.1f} s (bar {BAR_S} s){ratio}")
    print(f"lint: memory  {memory:.0f} MiB (bar {BAR_MIB} MiB)")
    return int(seconds > BAR_S or memory > BAR_MIB)


if __name__ == "__main__":
    sys.exit(main())
