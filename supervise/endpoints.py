"""Where something listens, as `HOST:PORT`, and whether others than this machine can reach that. Pure."""

from __future__ import annotations

import ipaddress


def split(endpoint: str) -> tuple[str, int]:
    """The host without its brackets, and the port. Raises ValueError for what is not HOST:PORT."""
    host, colon, port = endpoint.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"'{endpoint}' is not HOST:PORT: write 127.0.0.1:9750 or [::1]:9750")
    return host, int(port)


def is_loopback(endpoint: str) -> bool:
    """Whether nobody but this machine reaches it. A name may mean anything, but for `localhost`."""
    host, _ = split(endpoint)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def public(endpoint: str) -> str:
    """Why one thinks twice before listening there."""
    return f"whoever reaches {endpoint} reads the names and states of all agents, for no password is asked"
