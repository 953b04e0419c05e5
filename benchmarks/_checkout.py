"""Checkouts to read: one that Argo CD deploys with kustomize, and one of policies alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

APPS = 119
ENVIRONMENTS = ("dev", "stg", "prd")
VALUES = 60
"""Lines of the values of each application's chart, which are no objects."""
DEFINITIONS, FIELDS = 14, 250
"""CustomResourceDefinitions, and fields of each: the longest files of most checkouts."""

_APPSET = """\
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: apps, namespace: argocd}
spec:
  generators:
  - matrix:
      generators:
      - git:
          repoURL: https://git.example.org/tre.git
          revision: main
          directories: [{path: apps/*/envs/*}]
      - list: {elements: [{cluster: in-cluster}]}
  template:
    metadata: {name: '{{path[1]}}-{{path.basename}}'}
    spec:
      project: default
      source:
        repoURL: https://git.example.org/tre.git
        targetRevision: main
        path: '{{path}}'
      destination: {server: https://kubernetes.default.svc, namespace: '{{path[1]}}'}
"""

_CRDS = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
"""

_DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: things{number}.example.org
  annotations: {{controller-gen.kubebuilder.io/version: v0.16.5}}
spec:
  group: example.org
  names: {{kind: Thing{number}, listKind: Thing{number}List, plural: things{number}}}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
"""
_FIELD = """\
          field{field}:
            description: |-
              What this field says, in as many words as the people who wrote it thought right.
              More of it stands in the second line.
            type: object
            required: [name]
            properties:
              name:
                description: The name of the object, which is required.
                maxLength: 253
                type: string
              mode:
                enum:
                - Always
                - Never
                type: string
              weight: {{type: integer, format: int32, minimum: 0}}
"""

_BASE = {
    "kustomization.yaml": """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [namespace.yaml, deployment.yaml, service.yaml, account.yaml, policy.yaml]
configMapGenerator:
- name: settings
  files: [settings.conf]
labels:
- pairs: {{team: team-{team}}}
""",
    "namespace.yaml": """\
apiVersion: v1
kind: Namespace
metadata: {{name: {app}, labels: {{kind: project}}}}
""",
    "deployment.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {app}
  labels: {{app.kubernetes.io/name: {app}, app.kubernetes.io/part-of: tre}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {app}}}}}
  template:
    metadata:
      labels: {{app: {app}, tier: back}}
      annotations:
        checksum/config: 5f8c3a0e4b1d
    spec:
      serviceAccountName: {app}
      securityContext: {{runAsNonRoot: true, fsGroup: 1000}}
      containers:
      - name: main
        image: registry.example.org/{app}:1.2.3
        args: ["--listen=0.0.0.0:8080", "--log=json"]
        ports:
        - {{name: http, containerPort: 8080, protocol: TCP}}
        - {{name: metrics, containerPort: 9090, protocol: TCP}}
        env:
        - {{name: DATABASE, value: "postgres://store.{app}:5432/main"}}
        - name: PASSWORD
          valueFrom: {{secretKeyRef: {{name: store, key: password}}}}
        resources:
          requests: {{cpu: 100m, memory: 128Mi}}
          limits: {{memory: 512Mi}}
        readinessProbe:
          httpGet: {{path: /ready, port: http}}
          periodSeconds: 10
        volumeMounts:
        - {{name: settings, mountPath: /etc/{app}}}
      volumes:
      - name: settings
        configMap: {{name: settings}}
""",
    "service.yaml": """\
apiVersion: v1
kind: Service
metadata: {{name: {app}}}
spec:
  selector: {{app: {app}}}
  ports:
  - {{name: http, port: 80, targetPort: http, protocol: TCP}}
""",
    "account.yaml": """\
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {app}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {app}}}
rules:
- apiGroups: [""]
  resources: [configmaps, secrets]
  verbs: [get, list, watch]
""",
    "policy.yaml": """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: {app}}}
spec:
  endpointSelector: {{matchLabels: {{app: {app}}}}}
  ingress:
  - fromEndpoints:
    - matchLabels: {{k8s:io.kubernetes.pod.namespace: {peer}, app: {peer}}}
    toPorts:
    - ports: [{{port: "8080", protocol: TCP}}]
      rules: {{http: [{{method: GET, path: "/api/.*"}}]}}
  egress:
  - toEndpoints:
    - matchLabels: {{k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}
    toPorts:
    - ports: [{{port: "53", protocol: ANY}}]
      rules: {{dns: [{{matchPattern: "*"}}]}}
  - toFQDNs: [{{matchName: {app}.example.org}}]
    toPorts:
    - ports: [{{port: "443", protocol: TCP}}]
""",
    "settings.conf": "listen = 8080\n",
}

_OVERLAY = {
    "kustomization.yaml": """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {app}
resources: [../../base]
patches:
- path: replicas.yaml
  target: {{kind: Deployment}}
""",
    "replicas.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {app}}}
spec:
  replicas: 3
  template:
    metadata: {{labels: {{env: {env}}}}}
""",
}

_VALUE = """\
{app}Part{number}:
  enabled: true
  image: {{repository: registry.example.org/{app}/part-{number}, tag: "1.{number}"}}
  resources: {{requests: {{cpu: 100m, memory: 64Mi}}}}
"""


def write_gitops(root: Path) -> int:
    """Write a checkout of applications that Argo CD deploys with kustomize; how many files it has.

    Each has a policy, a base, an overlay for each environment, and values of a chart.
    """
    (root / ".git").mkdir()
    files = 1
    _write(root / "appsets" / "apps.yaml", _APPSET)
    for number in range(DEFINITIONS):
        files += 1
        fields = "".join(_FIELD.format(field=at) for at in range(FIELDS))
        text = _DEFINITION.format(number=number) + fields
        _write(root / "crds" / f"kind-{number}.yaml", text)
    _write(
        root / "crds" / "kustomization.yaml",
        _CRDS + "".join(f"- kind-{number}.yaml\n" for number in range(DEFINITIONS)),
    )
    for number in range(APPS):
        app, peer = f"app-{number}", f"app-{(number + 1) % APPS}"
        words = {"app": app, "peer": peer, "team": number % 9}
        for path, text in _app_files(words):
            files += 1
            _write(root / "apps" / app / path, text)
    return files


def _app_files(words: dict[str, object]) -> Iterator[tuple[str, str]]:
    yield from ((f"base/{name}", text.format(**words)) for name, text in _BASE.items())
    values = "".join(_VALUE.format(number=at, **words) for at in range(VALUES // 4))
    yield "base/values.yaml", values
    for env in ENVIRONMENTS:
        for name, text in _OVERLAY.items():
            yield f"envs/{env}/{name}", text.format(env=env, **words)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


_POLICY = """\
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: p{number}
  namespace: ns{space}
  labels:
    app.kubernetes.io/part-of: tre
spec:
  description: lets app{peer} in, and app{app} out to what it needs
  endpointSelector:
    matchLabels:
      app: app{app}
  ingress:
    - fromEndpoints:
        - matchLabels:
            app: app{peer}
            k8s:io.kubernetes.pod.namespace: ns{other}
      toPorts:
        - ports:
            - port: "{port}"
              protocol: TCP
          rules:
            http:
              - method: GET
                path: /api/v{number}/.*
  egress:
    - toEndpoints:
        - matchLabels:
            k8s:io.kubernetes.pod.namespace: kube-system
            k8s-app: kube-dns
      toPorts:
        - ports:
            - port: "53"
              protocol: ANY
          rules:
            dns:
              - matchPattern: "*"
    - toFQDNs:
        - matchName: host{number}.example.org
      toPorts:
        - ports:
            - port: "443"
              protocol: TCP
"""


def write_policies(root: Path, policies: int, files: int) -> None:
    """Write policies into files of one folder for each of fifty namespaces."""
    for file in range(files):
        text = "".join(
            _POLICY.format(
                number=number,
                space=file % 50,
                other=number % 50,
                app=number % 40,
                peer=number % 37,
                port=8000 + number % 30,
            )
            for number in range(file, policies, files)
        )
        _write(root / f"ns{file % 50}" / f"file-{file}.yaml", text)
