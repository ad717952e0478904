"""`python -m supervise.scanner`: started by systemd, which hands over its socket."""

from __future__ import annotations

import asyncio
import socket

from supervise.places import SYSTEM
from supervise.scanner.service import Service

FIRST = 3
"""The only descriptor that systemd hands over (sd_listen_fds(3))."""


def main() -> None:
    listener = socket.socket(fileno=FIRST)
    asyncio.run(Service(SYSTEM.manifests).run(listener))


if __name__ == "__main__":
    main()
