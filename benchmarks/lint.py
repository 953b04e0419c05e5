"""Lint of a large checkout: 5,000 policies in 200 files, as a command would be run.

Each line: name, value, unit, and the ratio to the bar, or to what kubeconform needs for the same
tree where it is installed. The time is the processor's; nothing is cached. `python
benchmarks/lint.py`
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from _child import run_child
from _figures import Figure, report

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


def main() -> int:
    """Measure, and print a line for each figure; 1 when a bar is missed."""
    with TemporaryDirectory() as name:
        write_tree(Path(name))
        env = {**os.environ, "K8TRE_TUI_CACHE_ENABLED": "false"}
        ran = run_child(sys.executable, "-m", "app.cli", "lint", name, "-o", "json", env=env)
        ratio = ""
        if (peer := shutil.which("kubeconform")) is not None:
            other = run_child(peer, "-ignore-missing-schemas", name, env=env)
            ratio = f"{ran.seconds / other.seconds:.1f} times kubeconform"
    what = f"lint: {FILES * PER_FILE:,} policies in {FILES} files"
    return not report(
        [
            Figure(what, ran.seconds, "s", ratio, BAR_S),
            Figure(f"{what}: memory", ran.mib, "MiB", bar=BAR_MIB),
        ],
        of_processor=True,
    )


if __name__ == "__main__":
    sys.exit(main())
