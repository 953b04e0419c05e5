"""ClickHouse's HTTP interface over the real engine in `chdb`: `chdb_server.py PORT FOLDER`.

As much of it as the history uses: a POST with the statement in `query=`, parameters in `param_*`,
the rows of an insert in the body, and errors as text. One statement at a time. Run as a program of
its own, because the engine is large and may live in another environment than the tests.
"""

from __future__ import annotations

import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from chdb import session

_INSERT = re.compile(r"\s*(INSERT\s+INTO\s+\S+)\s+FORMAT\s+(\w+)\s*", re.IGNORECASE)
_NAMES = re.compile(r"\{(\w+):Identifier\}")


class Engine:
    """The embedded engine; `run` gives the bytes of an answer or raises `RuntimeError`."""

    def __init__(self, folder: Path) -> None:
        self._session = session.Session(str(folder / "data"))
        self._rows = folder / "rows"
        self._lock = threading.Lock()

    def run(self, sql: str, values: dict[str, str], body: bytes) -> bytes:
        sql = _NAMES.sub(lambda name: f"`{values[name[1]]}`", sql)
        with self._lock:
            if insert := _INSERT.fullmatch(sql):
                self._rows.write_bytes(body)
                sql = f"{insert[1]} FROM INFILE '{self._rows}' FORMAT {insert[2]}"
            used = {name: value for name, value in values.items() if f"{{{name}:" in sql}
            answer = self._session.query(sql, params=used) if used else self._session.query(sql)
            return bytes(answer.bytes() or b"") if answer is not None else b""


def serve(port: int, folder: Path) -> None:
    engine = Engine(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_words: object) -> None:
            return

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            values = {
                k.removeprefix("param_"): v for k, v in asked.items() if k.startswith("param_")
            }
            try:
                status, answer = 200, engine.run(asked["query"], values, body)
            except RuntimeError as error:
                status, answer = 500, str(error).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(server.server_port, flush=True)  # noqa: T201  # whoever started it reads the port
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
