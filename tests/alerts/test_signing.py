"""Signatures as a receiver checks them, who knows the scheme and nothing of us."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from supervise.alerts.signing import key, signed
from supervise.errors import SuperviseError

AT = datetime(2021, 2, 25, 14, 22, 10, 900000, tzinfo=UTC)


def test_the_example_of_standard_webhooks() -> None:
    """The one with which its libraries test themselves."""
    headers = signed(
        b'{"test": 2432232314}',
        id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=datetime.fromtimestamp(1614265330, UTC),
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_text_without_the_prefix_signs_as_it_is() -> None:
    headers = signed("{é}".encode(), id="msg_1", at=AT, secret="geheim+ß")
    mac = hmac.digest("geheim+ß".encode(), "msg_1.1614262930.{é}".encode(), hashlib.sha256)
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"


def test_without_a_secret_nothing_is_signed() -> None:
    assert signed(b"{}", id="msg_1", at=AT, secret=None) == {"webhook-id": "msg_1", "webhook-timestamp": "1614262930"}


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!!!!", "whsec_abc", "whsec_ü"])
def test_a_broken_key_is_refused_and_not_quoted(secret: str) -> None:
    with pytest.raises(SuperviseError, match="what follows whsec_ in the secret is not base64") as error:
        key(secret)
    assert secret not in str(error.value).replace("whsec_ in", "")
