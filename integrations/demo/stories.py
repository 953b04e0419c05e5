"""What goes on in the demo TRE, and how often; verdicts are the engine's, none is written here."""

from __future__ import annotations

from integrations.demo.scenes import (
    Ask,
    Backendless,
    Call,
    Detour,
    Exhaustion,
    Health,
    Knock,
    Leave,
    NodeCall,
    Past,
    Ping,
    Probe,
    Scan,
    Scene,
    Visit,
)

_ALICE, _ERIN = "project-lung/jupyter-alice", "project-lung/jupyter-erin"
_BOB, _FRANK = "project-heart/jupyter-bob", "project-heart/jupyter-frank"
_CAROL, _GRACE = "project-gene/jupyter-carol", "project-gene/jupyter-grace"
_HUB, _PROXY = "jupyterhub/hub-", "jupyterhub/proxy-"
_MIRROR = "mirror/mirror-1"
_MIRROR_NAME = "mirror.mirror.svc.cluster.local"
_HUB_NAME = "hub.jupyterhub.svc.cluster.local"
_S3_NAME = "s3.object-storage.svc.cluster.local"
_SSO = "keycloak.tre.example.org"

STORIES: tuple[tuple[int, Scene], ...] = (
    # pip install: the mirror by its Service's port, then PyPI itself, then what was agreed on
    (5, Call(_ALICE, _MIRROR, 8080, name=_MIRROR_NAME, http=("GET /simple/numpy/",))),
    (1, Leave(_ALICE, "pypi.example.org")),
    (2, Leave(_ALICE, "packages.example.org")),
    # the same where the port is right, and an upload that the mirror does not take
    (
        2,
        Call(_CAROL, _MIRROR, 8080, name=_MIRROR_NAME, http=("GET /simple/pysam/", "GET /simple/")),
    ),
    (1, Call(_CAROL, _MIRROR, 8080, name=_MIRROR_NAME, http=("POST /upload",))),
    (1, Leave(_CAROL, "genomes.example.org")),
    (1, Leave(_GRACE, "telemetry.example.net")),
    # notebooks, their hub, and whoever opens them
    (2, Call(_ALICE, _HUB, 8081, name=_HUB_NAME)),
    (1, Call(_GRACE, _HUB, 8081, name=_HUB_NAME)),
    (1, Call(_HUB, _ALICE, 8888)),
    (1, Call(_PROXY, _ERIN, 8888)),
    (1, Call(_PROXY, _BOB, 8888)),
    (1, Visit("node-3", _PROXY, 8000)),
    (1, NodeCall(_HUB, "node-1", 6443)),
    (1, Call(_HUB, "keycloak/keycloak-0", 8080)),
    # single sign-on
    (3, Call("keycloak/keycloak-0", "keycloak/keycloak-db-1", 5432)),
    (1, Call("keycloak/keycloak-1", "keycloak/keycloak-db-1", 5432)),
    (1, Call("keycloak/keycloak-db-2", "keycloak/keycloak-db-1", 5432)),
    (1, Detour("gitea/gitea-0", _SSO, "keycloak/keycloak-0", 8080)),
    (1, Detour("guacamole/guacamole-web-", _SSO, "keycloak/keycloak-0", 8080)),
    # a researcher who looks around, and one who asks the cloud for credentials
    (1, Scan(_BOB, (_ALICE, "project-gene/variant-db-0"), (22, 80, 443, 5432, 8888))),
    (1, Leave(_FRANK, "169.254.169.254", 80)),
    (1, Ping(_BOB, _FRANK)),
    (1, Ping(_ALICE, "198.51.100.77")),
    (1, Leave(_BOB, "hospital.example.com")),
    (1, Knock("203.0.113.200", _ERIN, 8888)),
    # desktops, code, objects
    (1, Call("project-heart/desktop-0", "project-heart/cohort-db-0", 5432)),
    (1, Call("guacamole/guacamole-web-", "guacamole/guacamole-db-0", 5432)),
    (1, Call("guacamole/guacamole-web-", "gateway/error-pages-", 8080)),
    (1, Call("guacamole/guacamole-web-", "object-storage/objstore-s3-", 8333)),
    (1, Call("guacamole/guacamole-web-", "guacamole/guacd-", 4822)),
    (1, Call("guacamole/guacd-", "project-heart/desktop-0", 3389)),
    (1, Call("gitea/gitea-0", "gitea/gitea-db-0", 5432)),
    (1, Call("argocd/argocd-repo-server-", "gitea/gitea-0", 3000)),
    (1, Call("argocd/argocd-repo-server-", "argocd/argocd-redis-", 6379)),
    (1, Backendless(_BOB, "gitea/gitea-ssh", 22)),
    (1, Call("project-gene/variant-calling-", "object-storage/objstore-s3-", 8333, name=_S3_NAME)),
    (1, Call("project-gene/variant-calling-", "project-gene/variant-db-0", 5432)),
    (1, Call("object-storage/objstore-s3-", "object-storage/objstore-filer-0", 8888)),
    (1, Call(_BOB, "object-storage/objstore-master-0", 9333)),
    # the mirror's own fetching
    (1, Leave(_MIRROR, "pypi.example.org")),
    (1, Ask(_MIRROR, "telemetry.example.net")),
    # the machinery
    (1, Exhaustion("keycloak/keycloak-1", "keycloak/keycloak-db-2", 5432)),
    (1, NodeCall("cert-manager/cert-manager-", "node-1", 6443)),
    (1, NodeCall("kube-system/metrics-server-", "node-2", 10250)),
    (1, NodeCall("kube-system/hubble-relay-", "node-3", 4244)),
    (1, Probe("keycloak/keycloak-0", 9000)),
    (1, Probe(_MIRROR, 8080)),
    (1, Probe("argocd/argocd-server-", 8080)),
    (1, Health("node-1", "node-2")),
    (1, Health("node-2", "node-3")),
)
"""How often each story is told, for every time the whole is told once."""

PAST: tuple[Scene, ...] = (Past(_BOB, _MIRROR, 8080),)
"""Told once, in the history: drops that today's policies do not explain."""
