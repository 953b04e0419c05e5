"""A question as people ask it: two ends as they were named, a port and a request.

Made by `app.core.diagnose.naming` from words, once; everything later carries what was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.core.model.cluster import Address
from app.core.model.verdict import Protocol, Request


class EndKind(StrEnum):
    """What form an end was named in."""

    POD = "pod"
    WORKLOAD = "workload"
    LABEL = "label"
    SERVICE = "svc"
    ADDRESS = "ip"
    NAME = "fqdn"
    ENTITY = "entity"


@dataclass(frozen=True, slots=True)
class AskedPort:
    """A port by number or by name. `protocol` is None where it was not said."""

    number: int | None = None
    name: str = ""
    protocol: Protocol | None = None

    def __str__(self) -> str:
        tail = f"/{self.protocol.value}" if self.protocol else ""
        return f"{self.name if self.number is None else self.number}{tail}"


@dataclass(frozen=True, slots=True)
class End:
    """One end as named. Only the fields of its `kind` are filled.

    `workload_kinds` are Kubernetes kinds, `address` is what a name was said to resolve to, `port`
    the port written behind a Service.
    """

    kind: EndKind
    text: str
    namespace: str = ""
    name: str = ""
    workload_kinds: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    address: Address | None = None
    port: AskedPort | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Why may `source` not reach `destination`? The port and the request may be left out."""

    source: End
    destination: End
    port: AskedPort | None = None
    request: Request | None = None
