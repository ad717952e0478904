"""An agent that serves HTTP on port ARGV[1] and answers as the file NAME.says has it (`200` if it says nothing).

It writes each question to NAME.asked, and to NAME.together how many were waiting for its answer at that moment.
"""

import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME = os.environ["SUPERVISE_AGENT"]
SAYS, ASKED, TOGETHER = (Path(f"{NAME}.{ending}") for ending in ("says", "asked", "together"))
LOCK = threading.Lock()
WAITING: list[socket.socket] = []


def waits(asker: socket.socket) -> bool:
    """Whether the asker is still there: it hangs up when its time is over, though the answer is still being made."""
    try:
        return asker.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with LOCK:
            WAITING.append(self.connection)
            with ASKED.open("a") as asked, TOGETHER.open("a") as together:
                asked.write(f"{time.monotonic()} {os.getpid()} {self.path} {self.headers['user-agent']}\n")
                together.write(f"{sum(map(waits, WAITING))}\n")
        try:
            self.answer(*(SAYS.read_text() if SAYS.exists() else "200").split(maxsplit=2))
        finally:
            with LOCK:
                WAITING.remove(self.connection)

    def answer(self, status: str, seconds: str = "0", body: str = "well") -> None:
        time.sleep(float(seconds))
        self.send_response(int(status))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *words: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
