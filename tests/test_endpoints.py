"""Where something listens, and who can reach that."""

from __future__ import annotations

import pytest

from supervise.endpoints import is_loopback, public, split


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [
        ("127.0.0.1:9750", "127.0.0.1", 9750),
        ("[::1]:9750", "::1", 9750),
        ("localhost:1", "localhost", 1),
        ("example.org:65535", "example.org", 65535),
    ],
)
def test_host_and_port_are_told_apart(endpoint: str, host: str, port: int) -> None:
    assert split(endpoint) == (host, port)


@pytest.mark.parametrize("endpoint", ["9750", ":9750", "localhost", "localhost:", "localhost:0", "a:65536", "a:x", ""])
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT: write 127"):
        split(endpoint)


@pytest.mark.parametrize(
    ("host", "ours_alone"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("[::]", False),
        ("10.0.0.5", False),
        ("example.org", False),
        ("localhost.example.org", False),
    ],
)
def test_only_addresses_of_this_machine_itself_are_its_own(host: str, ours_alone: bool) -> None:
    assert is_loopback(f"{host}:9750") is ours_alone


def test_who_listens_elsewhere_is_told_who_can_read_what() -> None:
    assert public("0.0.0.0:9750").startswith("whoever reaches 0.0.0.0:9750 reads the names and states of all agents")
