"""Sizes step by 1024, as systemd's `parse_size` does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.config.sizes import size, size_text


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("1000", 1000),
        ("512M", 512 * 1024**2),
        ("1.5G", 3 * 1024**3 // 2),
        ("1G 512M", 1536 * 1024**2),
        ("1G512M", 1536 * 1024**2),
        (" 4K", 4096),
        ("10.M", 10 * 1024**2),
        ("7B", 7),
        ("1E", 1024**6),
        ("0.1K", 102),
        ("5 ", 5),
    ],
)
def test_a_size_steps_by_1024(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", " ", "512MB", "512m", "M", "-1", "1M 1G", "1M 1M", "5 5", "1,5G", "5M ", "50%"])
def test_what_systemd_does_not_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size: write 512M"):
        size(text)


def test_a_size_beyond_64_bits_is_refused() -> None:
    assert size("18446744073709551615") == 2**64 - 1
    with pytest.raises(ValueError, match="more than systemd can count"):
        size("16E")


@given(st.integers(0, 2**64 - 1))
def test_a_size_survives_being_written(count: int) -> None:
    assert size(size_text(count)) == count


def test_a_size_is_written_with_the_largest_whole_suffix() -> None:
    assert [size_text(count) for count in (0, 100, 1536, 512 * 1024**2, 3 * 512 * 1024)] == [
        "0",
        "100",
        "1536",
        "512M",
        "1536K",
    ]
