"""One suite that every codec passes, and the judgement of `auto` under a clock of our own."""

from __future__ import annotations

import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from io_manager import AutoCodec, Codec, CodecError, make_codec
from io_manager.auto_codec import SAMPLE_BLOCKS
from io_manager.codec import codec_by_code

CODECS = ["none", "lz4", "zstd", "auto"]
COMPRESSING = ["lz4", "zstd", "auto"]
NOISE = random.Random(3).randbytes(20_000)


def view(data: bytes) -> memoryview:
    return memoryview(bytearray(data))


# --- conformance


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=60, deadline=None)
@given(
    data=st.one_of(st.binary(max_size=3000), st.builds(lambda b, n: b * n, st.binary(max_size=9), st.integers(0, 800)))
)
def test_what_is_encoded_decodes_to_the_same(name: str, data: bytes) -> None:
    codec = make_codec(name)
    stored = codec.encode(view(data))
    assert stored is None or (len(stored) < len(data) and codec.decode(view(stored), len(data)) == data)


@pytest.mark.parametrize("name", CODECS)
def test_what_does_not_shrink_is_stored_raw(name: str) -> None:
    assert make_codec(name).encode(view(NOISE)) is None
    assert make_codec(name).encode(view(b"")) is None


@pytest.mark.parametrize("name", COMPRESSING)
def test_what_shrinks_by_a_hair_is_stored_raw(name: str) -> None:
    codec = make_codec(name)
    assert codec.encode(view(NOISE + bytes(200))) is None
    assert codec.encode(view(NOISE + bytes(2000))) is not None


@pytest.mark.parametrize("name", COMPRESSING)
@pytest.mark.parametrize("wrong", [-1, 1, -1999, 4096])
def test_another_length_than_promised_is_an_error(name: str, wrong: int) -> None:
    codec = make_codec(name)
    stored = codec.encode(view(b"ab" * 1000))
    assert stored is not None
    with pytest.raises(CodecError):
        codec.decode(view(stored), 2000 + wrong)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("stored", [b"", b"\x00", NOISE[:500], b"\x28\xb5\x2f\xfd" + b"\xff" * 30])
def test_nonsense_is_an_error(name: str, stored: bytes) -> None:
    with pytest.raises(CodecError):
        make_codec(name).decode(view(stored), 1000)


@pytest.mark.parametrize("name", CODECS)
def test_threads_do_not_meet(name: str) -> None:
    codec, wrong = make_codec(name), []

    def work(seed: int) -> None:
        for n in range(30):
            data = bytes([seed, n]) * 5000
            stored = codec.encode(view(data))
            if stored is not None and codec.decode(view(stored), len(data)) != data:
                wrong.append((seed, n))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("name", CODECS)
def test_scratch_covers_the_worst_case(name: str) -> None:
    codec = make_codec(name)
    if name != "none":
        assert len(codec.compress(view(NOISE))) <= codec.scratch_bytes(len(NOISE))
    assert (codec.scratch_bytes(1 << 20) == 0) == (name == "none")


def test_numbers_and_names() -> None:
    assert [codec_by_code(code).name for code in range(3)] == ["none", "lz4", "zstd"]
    assert make_codec("auto").code == make_codec("lz4").code
    with pytest.raises(CodecError, match="9"):
        codec_by_code(9)
    with pytest.raises(ValueError, match="auto, lz4, none, zstd"):
        make_codec("gzip")


# --- auto


def judged(*, shrinks_to: int, compress_seconds: float, write_seconds: float) -> AutoCodec:
    """An auto codec that has seen its sample of 1000-byte blocks."""
    now = 0.0

    class Fake(Codec):
        name, code = "fake", 1

        def compress(self, payload: memoryview) -> bytes:
            nonlocal now
            now += compress_seconds
            return bytes(shrinks_to)

        def decompress(self, stored: memoryview, raw_length: int) -> bytes:
            return bytes(raw_length)

        def scratch_bytes(self, block_bytes: int) -> int:
            return block_bytes

    codec = AutoCodec(Fake(), clock=lambda: now)
    for _ in range(SAMPLE_BLOCKS):
        assert codec.decision.compress is None
        codec.encode(view(bytes(1000)))
        codec.note_write(1000, write_seconds)
    return codec


@pytest.mark.parametrize(
    ("shrinks_to", "compress_seconds", "write_seconds", "verdict"),
    [
        (300, 1.0, 10.0, True),  # slow disk: 7 seconds saved for 1
        (300, 1.0, 1.0, False),  # fast disk: 0.7 seconds saved for 1
        (1000, 0.1, 100.0, False),  # nothing saved
        (990, 0.1, 100.0, False),  # stored raw, so nothing saved
    ],
)
def test_auto_weighs_saved_writing_against_compressing(
    shrinks_to: int, compress_seconds: float, write_seconds: float, verdict: bool
) -> None:
    codec = judged(shrinks_to=shrinks_to, compress_seconds=compress_seconds, write_seconds=write_seconds)
    assert codec.decision.compress is verdict
    before = codec.decision
    assert (codec.encode(view(bytes(1000))) is not None) is verdict
    codec.note_write(1000, 1e9)
    assert codec.decision == before, "decided once"
    assert codec.decision.blocks_sampled == SAMPLE_BLOCKS
    assert ("fake" in before.describe()) is verdict


def test_auto_waits_for_a_write_before_it_decides() -> None:
    codec = AutoCodec()
    for _ in range(SAMPLE_BLOCKS + 2):
        codec.encode(view(bytes(1000)))
    assert codec.decision.compress is None and "undecided" in codec.decision.describe()
    codec.note_write(1000, 1.0)
    assert codec.decision.compress is True
