"""Copying, also over SSH: a native tool on a local desktop, else the terminal's OSC 52.

OSC 52 has no answer, so what is said afterwards is which way was taken, never that it worked.
Limit: 74,994 bytes of text make 100,000 of base64, which is what terminals commonly take.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping

OSC52_LIMIT = 74_994
TOOLS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("WAYLAND_DISPLAY", ("wl-copy",)),
    ("DISPLAY", ("xclip", "-selection", "clipboard")),
    ("", ("pbcopy",)),
)
TIMEOUT_S = 2.0


def native_tool(environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """Choose the desktop's own tool; None over SSH or without one."""
    if environ.get("SSH_CONNECTION"):
        return None
    for variable, command in TOOLS:
        if (not variable or environ.get(variable)) and shutil.which(command[0]):
            return command
    return None


def fits_osc52(text: str) -> bool:
    """Whether a terminal would take it."""
    return len(text.encode()) <= OSC52_LIMIT


async def run_tool(command: tuple[str, ...], text: str) -> bool:
    """Hand the text to a tool on its standard input; False when that fails."""
    import asyncio

    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(TIMEOUT_S):
            await process.communicate(text.encode())
    except (OSError, TimeoutError):
        return False
    return process.returncode == 0
