"""Sizes are read exactly, written readably, and never guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.sizes import GIB, KIB, MIB, TIB, SizeError, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("4096", 4096),
        ("37 bytes", 37),
        ("1 byte", 1),
        ("9B", 9),
        ("256MiB", 256 * MIB),
        ("256M", 256 * MIB),
        ("256m", 256 * MIB),
        (" 256 mib ", 256 * MIB),
        ("1K", KIB),
        ("1.5GiB", 3 * GIB // 2),
        ("2TiB", 2 * TIB),
        ("1kB", 1000),
        ("1GB", 10**9),
        ("1.1MB", 1_100_000),
        ("0.3KiB", 307),
        ("3TB", 3 * 10**12),
        (12345, 12345),
        (0, 0),
    ],
)
def test_what_people_write(text, size_bytes):
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "MiB",
        "256MiBs",
        "256 Mo",
        "12 parsecs",
        "-1",
        "-4KiB",
        "1e6",
        "0x10",
        "1,5GiB",
        "1.5",
        "1.5 bytes",
        ".5G",
        "1.G",
        "1 2",
        "½GiB",
        "\u0663MiB",  # an Arabic three
        "nan",
        "inf",
        -1,
        True,
        None,
        1.5,
        b"1M",
    ],
)
def test_what_nobody_can_read_is_named_and_cured(text):
    with pytest.raises(SizeError) as refused:
        parse_size(text)
    assert repr(text) in str(refused.value)
    assert "256MiB" in str(refused.value)


def test_a_percentage_needs_a_total():
    assert parse_size("50%", of=1000) == 500
    assert parse_size("33.3 %", of=1000) == 333
    assert parse_size("4KiB", of=1000) == 4096
    with pytest.raises(SizeError, match="no total"):
        parse_size("50%")


@given(st.integers(0, 10**6), st.integers(0, 999))
def test_decimals_are_exact(whole, thousandths):
    assert parse_size(f"{whole}.{thousandths:03}GiB") == (whole * 1000 + thousandths) * GIB // 1000


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (37, "37 bytes"),
        (1023, "1023 bytes"),
        (KIB, "1 KiB"),
        (32 * KIB, "32 KiB"),
        (MIB - 1, "1 MiB"),
        (256 * MIB, "256 MiB"),
        (3 * GIB // 2, "1.5 GiB"),
        (GIB - 1, "1 GiB"),
        (5000 * TIB, "5000 TiB"),
        (-37, "-37 bytes"),
        (-MIB, "-1 MiB"),
    ],
)
def test_what_people_read(size_bytes, text):
    assert format_size(size_bytes) == text


@given(st.integers(0, 1 << 60))
def test_what_is_written_can_be_read_back(size_bytes):
    assert abs(parse_size(format_size(size_bytes)) - size_bytes) <= size_bytes / 20


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_a_size_error(text):
    try:
        assert parse_size(text) >= 0
    except SizeError as refused:
        assert repr(text) in str(refused)
