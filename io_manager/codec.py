"""What may be done to a payload on its way to disk: nothing, LZ4, or Zstandard level 1.

A codec is a pair of pure functions on bytes, safe to call from several threads at once, and a number that
stands in the file header. A payload that does not shrink enough to be worth the trouble is stored raw:
`encode` answers None. What comes back is checked to the byte: `decode` returns exactly the raw length or
raises `CodecError`.

The libraries hand out bytes objects; `scratch_bytes` is the bound on what one block takes of memory while it
is coded, so that a planner can count it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

# Decoding costs about as much as reading a few percent more, so a smaller saving is a loss.
SAVING_MIN = 1 / 32

# ZstdCompressor.memory_size() after a large block at level 1 is 1.3 MiB, ZstdDecompressor's 0.1 MiB.
_ZSTD_CONTEXT_BYTES = 3 << 19


class CodecError(ValueError):
    """Stored bytes that do not decode to the length they must have."""


class Codec(ABC):
    """One way of storing payloads."""

    name: str
    code: int

    @abstractmethod
    def compress(self, payload: memoryview) -> bytes:
        """The payload, shorter if possible."""

    @abstractmethod
    def decompress(self, stored: memoryview, raw_length: int) -> bytes:
        """The payload again, of at most `raw_length` bytes; any exception means damage."""

    @abstractmethod
    def scratch_bytes(self, block_bytes: int) -> int:
        """Bytes of memory, beyond the block's own buffer, that coding one block may take."""

    def encode(self, payload: memoryview) -> bytes | None:
        """What to store for `payload`, or None: store it as it is."""
        stored = self.compress(payload)
        return stored if len(stored) <= len(payload) * (1 - SAVING_MIN) else None

    def decode(self, stored: memoryview, raw_length: int) -> bytes:
        """The payload of exactly `raw_length` bytes. Raises CodecError."""
        try:
            payload = self.decompress(stored, raw_length)
        except Exception as error:  # the libraries' errors have no common base
            raise CodecError(f"{self.name}: {error}") from error
        if len(payload) != raw_length:
            raise CodecError(f"{self.name}: {len(payload)} bytes came out, {raw_length} expected")
        return payload

    def note_write(self, length: int, seconds: float) -> None:
        """Learn how long the disk took for `length` bytes; most codecs do not care."""
        return


class NoCodec(Codec):
    """Store what is there."""

    name, code = "none", 0

    def compress(self, payload: memoryview) -> bytes:
        raise AssertionError("encode never compresses here")

    def decompress(self, stored: memoryview, raw_length: int) -> bytes:
        raise CodecError("a compressed block in a file without compression")

    def encode(self, payload: memoryview) -> bytes | None:
        return None

    def scratch_bytes(self, block_bytes: int) -> int:
        return 0


class Lz4Codec(Codec):
    """LZ4 block format, the fast level; the length stands in our header, not in its."""

    name, code = "lz4", 1

    def __init__(self) -> None:
        import lz4.block  # here, so that a job without compression never loads it

        self._lz4 = lz4.block

    def compress(self, payload: memoryview) -> bytes:
        stored: bytes = self._lz4.compress(payload, store_size=False)
        return stored

    def decompress(self, stored: memoryview, raw_length: int) -> bytes:
        payload: bytes = self._lz4.decompress(stored, uncompressed_size=raw_length)
        return payload

    def scratch_bytes(self, block_bytes: int) -> int:
        # Its buffer for the worst case, and the bytes object that is copied from it.
        return 2 * (block_bytes + block_bytes // 255 + 16)


class ZstdCodec(Codec):
    """Zstandard level 1. A context serves one thread at a time, so each thread has its own."""

    name, code = "zstd", 2

    def __init__(self) -> None:
        import zstandard

        self._zstd = zstandard
        self._contexts = threading.local()

    def compress(self, payload: memoryview) -> bytes:
        if not hasattr(self._contexts, "compressor"):
            self._contexts.compressor = self._zstd.ZstdCompressor(level=1)
        stored: bytes = self._contexts.compressor.compress(payload)
        return stored

    def decompress(self, stored: memoryview, raw_length: int) -> bytes:
        # The frame's own length is what the library allocates: believe it only where it agrees with ours.
        if (length := self._zstd.frame_content_size(stored)) != raw_length:
            raise CodecError(f"the frame says {length} bytes, {raw_length} expected")
        if not hasattr(self._contexts, "decompressor"):
            self._contexts.decompressor = self._zstd.ZstdDecompressor()
        payload: bytes = self._contexts.decompressor.decompress(stored, allow_extra_data=False)
        return payload

    def scratch_bytes(self, block_bytes: int) -> int:
        return block_bytes + block_bytes // 128 + 1024 + _ZSTD_CONTEXT_BYTES


CODECS: dict[str, Callable[[], Codec]] = {codec.name: codec for codec in (NoCodec, Lz4Codec, ZstdCodec)}


def codec_by_code(code: int) -> Codec:
    """The codec a file header names. Raises CodecError when there is none of that number."""
    for codec in (NoCodec, Lz4Codec, ZstdCodec):
        if codec.code == code:
            return codec()
    raise CodecError(f"codec {code} is unknown")
