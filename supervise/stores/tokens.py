"""The token with which one host, and nobody else, writes to the shared database: a JWT as PostgREST reads it. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

ROLE = "supervise_host"
LONGEST = timedelta(days=90)
SHORTEST_SECRET = 32
"""Characters that PostgREST wants of a secret."""


def host_token(host: str, kid: str, *, secret: str, issued: datetime, expires: datetime) -> str:
    """`kid` is the key's name in `supervise_host_keys`, by which it can be revoked."""
    claims = {
        "role": ROLE,
        "host": host,
        "kid": kid,
        "iss": "supervise",
        "iat": _seconds(issued),
        "exp": _seconds(expires),
    }
    said = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{said}.{_base64(hmac.new(secret.encode(), said.encode(), hashlib.sha256).digest())}"


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _part(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
