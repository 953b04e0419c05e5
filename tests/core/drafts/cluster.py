"""A two-project cluster for drafts, written as YAML and read by the real reader."""

from pathlib import Path

from app.core.cluster.build import build_cluster
from app.core.diagnose.ends import resolve
from app.core.diagnose.naming import parse_end
from app.core.model.verdict import Protocol, Question
from app.core.policy.engine import Engine
from integrations.manifests.reader import load

PODS = """\
apiVersion: v1
kind: Pod
metadata:
  name: notebook-alice
  namespace: lung
  labels: {app: notebook, hub.jupyter.org/username: alice, pod-template-hash: abc}
spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 8888}]}]}
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: notebook-bob
  namespace: lung
  labels: {app: notebook, hub.jupyter.org/username: bob, pod-template-hash: abc}
spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 8888}]}]}
status: {phase: Running, podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: airlock-0, namespace: lung, labels: {app: airlock}}
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.6, podIPs: [{ip: 10.0.0.6}]}
---
apiVersion: v1
kind: Pod
metadata: {name: mirror-1, namespace: mirror, labels: {app: mirror}}
spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.0.0.3, podIPs: [{ip: 10.0.0.3}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: mirror, labels: {app: db}}
spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 5432}]}]}
status: {phase: Running, podIP: 10.0.0.4, podIPs: [{ip: 10.0.0.4}]}
---
apiVersion: v1
kind: Pod
metadata: {name: dns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.5, podIPs: [{ip: 10.0.0.5}]}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  selector: {k8s-app: kube-dns}
  ports: [{port: 53, protocol: UDP, name: dns}, {port: 53, protocol: TCP, name: dns-tcp}]
---
apiVersion: v1
kind: Service
metadata: {name: mirror, namespace: mirror}
spec: {selector: {app: mirror}, ports: [{port: 80, targetPort: 8080}]}
"""

WORKSPACE = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: workspace
  namespace: lung
spec:
  endpointSelector:
    matchLabels:
      app: notebook
  egress:
    # DNS
    - toEndpoints:
        - matchLabels:
            k8s:io.kubernetes.pod.namespace: kube-system
            k8s-app: kube-dns
      toPorts:
        - ports:
            - port: "53"
              protocol: UDP
    # the mirror
    - toEndpoints:
        - matchLabels:
            k8s:io.kubernetes.pod.namespace: mirror
            app: mirror
      toPorts:
        - ports:
            - port: "80"
              protocol: TCP
    # packages
    - toFQDNs:
        - matchName: pypi.org
      toPorts:
        - ports:
            - port: "443"
              protocol: TCP
"""

KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - workspace.yaml
"""


def write(root: Path, policies: dict[str, str]) -> Path:
    for name, text in {"pods.yaml": PODS, **policies}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def engine_of(root: Path) -> Engine:
    return Engine.build(build_cluster(load([str(root)]).manifests))


def question(engine: Engine, source: str, destination: str, port: int) -> Question:
    (one,) = resolve(parse_end(source), engine)
    (other,) = resolve(parse_end(destination), engine)
    return Question(one.peer, other.peer, port, Protocol.TCP)
