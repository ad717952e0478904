"""Switches, numbers, spans and rates: each function returns the Python value, or says in one sentence what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from supervise.config.leaf import shortened
from supervise.config.nodes import Scalar
from supervise.model import FOREVER, Rate
from supervise.spans import span


def switch(text: Scalar) -> bool:
    if text in ("true", "True", "TRUE") and text.plain:
        return True
    if text in ("false", "False", "FALSE") and text.plain:
        return False
    if text.lower() in ("yes", "on", "y", "true"):
        raise ValueError(f"'{text}' is only a word here: write true, without quotes")
    if text.lower() in ("no", "off", "n", "false"):
        raise ValueError(f"'{text}' is only a word here: write false, without quotes")
    raise ValueError(f"true or false is wanted, not '{shortened(text)}'")


def whole(low: int, high: int) -> Callable[[Scalar], int]:
    """A whole number as YAML 1.2 writes it, within bounds."""
    bounds = f"a whole number from {low} to {high:,}" if low != high else f"{low}"

    def parse(text: Scalar) -> int:
        if not text.plain and re.fullmatch(r"[0-9]+", text):
            raise ValueError(f"a number is wanted, not text: write {text} without quotes")
        if not re.fullmatch(r"[-+]?[0-9]{1,18}|0x[0-9a-fA-F]{1,15}|0o[0-7]{1,20}", text):
            raise ValueError(f"{bounds} is wanted, not '{shortened(text)}'")
        number = int(text, 0 if text[:2] in ("0x", "0o") else 10)
        if not low <= number <= high:
            raise ValueError(f"{bounds} is wanted, not {number}")
        return number

    return parse


def factor(text: Scalar) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or float(text) < 1:
        raise ValueError(f"a number of at least 1 is wanted, not '{shortened(text)}'")
    return float(text)


def length(*, zero: bool = False, forever: bool = True) -> Callable[[Scalar], timedelta]:
    """A time span; `zero` and `infinity` only where they make sense."""

    def parse(text: Scalar) -> timedelta:
        value = span(text)
        if value == FOREVER and not forever:
            raise ValueError("infinity makes no sense here: write a time span such as 30s")
        if not value and not zero:
            raise ValueError("must be longer than 0: write a time span such as 30s")
        return value

    return parse


def or_off(parse: Callable[[Scalar], object]) -> Callable[[Scalar], object]:
    """The same value, or `off` for None."""

    def either(text: Scalar) -> object:
        if text == "off":
            return None
        if text in ("0", "infinity", "never", "none", "false", "no"):
            raise ValueError(f"'{text}' is not understood here: write off, or a value")
        return parse(text)

    return either


def rate(text: Scalar) -> Rate:
    """`5 in 15min` or `1000/30s`."""
    match = re.fullmatch(r"([0-9]{1,9})(?: *in +| */ *)(.+)", text)
    if not match or int(match[1]) < 1:
        raise ValueError(f"'{shortened(text)}' is not a rate: write 5 in 15min or 1000/30s")
    return Rate(int(match[1]), length(forever=False)(Scalar(match[2])))
