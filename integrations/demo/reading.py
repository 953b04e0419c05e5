"""What the demo's GitOps tree gives, read beforehand: to read it takes longer than all the rest.

`reading.json` beside this file is what `load` gives of the tree for one environment;
`python -m integrations.demo.reading` writes it, and a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from app.core.model.provenance import Manifest, Notice

GITOPS = Path(__file__).with_name("gitops")
"""The packaged GitOps tree that the demo's policies come from."""
KEPT = Path(__file__).with_name("reading.json")

_ENVIRONMENT = "prd"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the environment `prd` runs, what nothing deploys, and what is to be said of it."""

    manifests: tuple[Manifest, ...]
    undeployed: tuple[Manifest, ...]
    notices: tuple[Notice, ...]


_READER = msgspec.json.Decoder(Reading)


def kept_reading() -> Reading:
    """Give what was read beforehand."""
    return _READER.decode(KEPT.read_bytes())


def read_tree() -> Reading:
    """Read the tree; files are named as they are inside it, wherever the package is installed."""
    from dataclasses import replace

    from integrations.demo.topology import read_topology
    from integrations.manifests.reader import Selected, load

    domain = read_topology().domain
    loaded = load([str(GITOPS)], {"DOMAIN": domain}, Selected(env=_ENVIRONMENT))
    notices = tuple(
        replace(notice, file=_inside(notice.file))
        for notice in loaded.notices
        if notice.file and notice.ref
    )
    return Reading(_placed(loaded.manifests), _placed(loaded.undeployed), notices)


def written(reading: Reading) -> bytes:
    """Give a reading as the file is written; fields keep the order of the tree."""
    return msgspec.json.format(msgspec.json.encode(reading), indent=1) + b"\n"


def _placed(manifests: tuple[Manifest, ...]) -> tuple[Manifest, ...]:
    from dataclasses import replace

    placed = []
    for manifest in manifests:
        if source := manifest.source:
            roots = tuple(_inside(root) for root in source.deployed_by)
            reach = tuple(map(_inside, source.reach))
            inside = replace(source, file=_inside(source.file), deployed_by=roots, reach=reach)
            placed.append(replace(manifest, source=inside))
    return tuple(placed)


def _inside(path: str) -> str:
    return f"{GITOPS.name}/{path.rpartition(f'{GITOPS.name}/')[2]}"


if __name__ == "__main__":
    KEPT.write_bytes(written(read_tree()))
