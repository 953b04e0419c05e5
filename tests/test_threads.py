"""Types are described to msgspec when a module is loaded, never first in a thread.

Two threads that describe one struct for the first time at the same moment crash the interpreter
(msgspec 0.22), which is what reading the demo's tables in two threads did.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

DESCRIBED_BEFORE = {
    "app/config.py": "the settings are read once, before there is another thread",
    "integrations/kubernetes/snapshot.py": "a command of its own, with one thread",
    "integrations/demo/topology.py": "described beside the struct",
    "integrations/kubernetes/plugin.py": "described beside the struct",
}
READ_AT_ONCE = """
import sys, threading
from integrations.demo.topology import read_topology
sys.setswitchinterval(1e-6)
barrier = threading.Barrier(4)
threads = [threading.Thread(target=lambda: barrier.wait() and 0 or read_topology())
           for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def described_late(file: Path) -> Iterator[str]:
    """Calls inside functions that may be the first to describe a type of ours."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    for function in functions:
        for node in ast.walk(function):
            if not isinstance(node, ast.Call) or not ast.unparse(node.func).startswith("msgspec."):
                continue
            name = ast.unparse(node.func).rpartition(".")[2]
            typed = [one.value for one in node.keywords if one.arg == "type"]
            typed += node.args[:1] if name == "Decoder" else []
            if name == "convert" or any("Raw" not in ast.unparse(one) for one in typed):
                yield f"{file}:{node.lineno}"


def test_no_type_is_described_in_a_function() -> None:
    files = [file for top in ("app", "integrations") for file in Path(top).rglob("*.py")]
    late = [place for file in files for place in described_late(file)]
    assert {place.rpartition(":")[0] for place in late} == set(DESCRIBED_BEFORE), late


def test_demo_tables_when_read_by_several_threads_at_once_then_all_is_well() -> None:
    for _ in range(8):
        subprocess.run([sys.executable, "-c", READ_AT_ONCE], check=True, timeout=60)
