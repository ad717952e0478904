"""A web server that answers as it is told to, and remembers what it was asked: for everything that goes wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Web:
    """`answer`: what to do with a request; `asked`: path, headers and body of each."""

    url: str = ""
    answer: Callable[[BaseHTTPRequestHandler], None] = lambda request: None
    asked: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)

    def says(self, status: int, body: object, kind: str = "application/json", **headers: str) -> None:
        """From now on it answers this."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            request.send_response(status)
            request.send_header("content-type", kind)
            request.send_header("content-length", str(len(content)))
            for name, value in headers.items():
                request.send_header(name.replace("_", "-"), value)
            request.end_headers()
            request.wfile.write(content)

        self.answer = answer

    def cuts(self) -> None:
        """It lets go in the middle of an answer."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.send_header("content-length", "1000")
            request.end_headers()
            request.wfile.write(b'{"rows":')
            request.close_connection = True

        self.answer = answer

    def dribbles(self, size: int = 10**9, pause: float = 0.02, part: bytes = b" ") -> None:
        """Its answer does not end."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.send_header("content-type", "application/json")
            request.send_header("content-length", str(size))
            request.end_headers()
            for _ in range(size // len(part)):
                request.wfile.write(part)
                time.sleep(pause)

        self.answer = answer


@contextmanager
def web() -> Iterator[Web]:
    found = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.asked.append((self.path, headers, json.loads(body) if body else None))
            try:
                found.answer(self)
            except OSError:  # whoever asked has gone
                self.close_connection = True

        do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
