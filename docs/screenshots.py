"""The README's pictures, taken from the demo: `python docs/screenshots.py`.

Seed and clock are fixed, so the same program gives the same pictures.
"""

# ruff: noqa: INP001
from __future__ import annotations

import asyncio
import sys
from datetime import UTC
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from textual.pilot import Pilot  # noqa: E402  # the checkout comes first on the path

from app.config import Settings, UiSettings  # noqa: E402
from app.services.drafting import Drafter  # noqa: E402
from app.services.workspace import Workspace  # noqa: E402
from app.testing.clock import FakeClock  # noqa: E402
from app.tui.app import K8treApp  # noqa: E402
from app.tui.places import Place, parse_command  # noqa: E402
from integrations.demo.cluster import DemoCluster  # noqa: E402
from integrations.demo.flows import DemoFlows  # noqa: E402
from integrations.demo.reading import GITOPS  # noqa: E402
from integrations.git.patch_only import PatchOnly  # noqa: E402

SIZE = (120, 36)
SEED = 7
PICTURES = {
    "flows": (Place("flows", filter="jupyter"), ("k",) * 22),
    "why": (
        parse_command("why project-lung/jupyter-alice svc:mirror/mirror:80"),
        (),
    ),
    "policy": (Place("policies", filter="gitea-egress"), ("enter",)),
}


def main() -> None:
    """Write docs/img/NAME.svg for every picture."""
    folder = ROOT / "docs" / "img"
    folder.mkdir(exist_ok=True)
    for name, (place, keys) in PICTURES.items():
        svg = asyncio.run(take(place, keys))
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")


async def take(place: Place, keys: tuple[str, ...]) -> str:
    """Show a place of the demo, press keys, and give the screen as SVG."""
    clock = FakeClock()
    workspace = Workspace(
        [DemoCluster(clock.now_ns)], [DemoFlows(seed=SEED, now_ns=clock.now_ns)], clock=clock
    )
    settings = Settings(ui=UiSettings(glyphs="unicode"))
    drafter = Drafter(PatchOnly(GITOPS.parent), str)
    app = K8treApp(
        workspace,
        settings,
        clock=clock,
        context="demo",
        start=place,
        zone=UTC,
        make_drafter=lambda: drafter,
    )
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot, app)
        await pilot.press(*keys)
        await pilot.pause()
        app.draw_frame()
        await pilot.pause()
        return app.export_screenshot(title="k8tre-tui")


async def settled(pilot: Pilot[None], app: K8treApp) -> None:
    """Wait for objects, flows and the names that were learned from them."""
    ring = app.session.workspace.ring
    while not (app.session.has_read and ring.seen and app.session.picture.cluster.learned_names):
        await pilot.pause(0.02)
    await pilot.pause(0.3)
    app.tick()
    await pilot.pause()


if __name__ == "__main__":
    main()
