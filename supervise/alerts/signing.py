"""Signs what a webhook gets, as Standard Webhooks does it (standardwebhooks.com): its receiver can be sure who sent it,
and when. Pure; no secret may reach an error's text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from supervise.errors import SuperviseError

PREFIX = "whsec_"


def signed(body: bytes, *, id: str, at: datetime, secret: str | None) -> Mapping[str, str]:
    """The headers of one try at `at`; the id is that of the message, so that its receiver knows a repetition."""
    timestamp = str(int(at.timestamp()))
    headers = {"webhook-id": id, "webhook-timestamp": timestamp}
    if secret is None:
        return headers
    mac = hmac.new(key(secret), b".".join((id.encode(), timestamp.encode(), body)), hashlib.sha256)
    return headers | {"webhook-signature": f"v1,{base64.b64encode(mac.digest()).decode()}"}


def key(secret: str) -> bytes:
    """The bytes that sign: after `whsec_` they are base64, else the text is what it is."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        found = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        found = b""
    if not found:
        raise SuperviseError(f"cannot sign: what follows {PREFIX} in the secret is not base64")
    return found
