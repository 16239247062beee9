"""Compress, or not? Measured on the first blocks of a job, decided once, and told.

Compressing a block costs time on a core and saves time on the disk:

    pays  <=>  bytes saved x seconds the disk takes per byte  >  seconds spent compressing

Reading the block back saves as much again and costs the decompression, which for LZ4 is the smaller half;
leaving both out errs to the side of not compressing, where cores are the scarcer thing while a job sorts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from io_manager.codec import CODECS, Codec, Lz4Codec

# Four blocks: enough to look past one odd block, few enough that a wrong guess costs milliseconds.
SAMPLE_BLOCKS = 4


@dataclass(frozen=True)
class CodecDecision:
    """What was measured, and what follows from it; `compress` is None while still measuring."""

    codec_name: str
    blocks_sampled: int = 0
    raw_bytes: int = 0
    stored_bytes: int = 0
    compress_seconds: float = 0.0
    written_bytes: int = 0
    write_seconds: float = 0.0
    compress: bool | None = None

    @property
    def saved_seconds(self) -> float:
        """Seconds of disk time the sample saved."""
        saved_bytes = self.raw_bytes - self.stored_bytes
        return saved_bytes * self.write_seconds / self.written_bytes if self.written_bytes else 0.0

    def describe(self) -> str:
        """One line for a report."""
        verdicts = {None: "undecided", True: f"compress with {self.codec_name}", False: "store raw"}
        verdict = verdicts[self.compress]
        return (
            f"{verdict}: {self.blocks_sampled} blocks, {self.raw_bytes} -> {self.stored_bytes} bytes, "
            f"{self.saved_seconds * 1e3:.2f} ms of disk saved, {self.compress_seconds * 1e3:.2f} ms of work"
        )


class AutoCodec(Codec):
    """Another codec, used for as long as it pays. Blocks written while measuring are compressed where they
    shrink."""

    name = "auto"

    def __init__(self, codec: Codec | None = None, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._codec = codec or Lz4Codec()
        self._clock = clock
        self._lock = threading.Lock()
        self.code = self._codec.code
        self.decision = CodecDecision(self._codec.name)

    def compress(self, payload: memoryview) -> bytes:
        return self._codec.compress(payload)

    def decompress(self, stored: memoryview, raw_length: int) -> bytes:
        return self._codec.decompress(stored, raw_length)

    def scratch_bytes(self, block_bytes: int) -> int:
        return self._codec.scratch_bytes(block_bytes)

    def encode(self, payload: memoryview) -> bytes | None:
        if self.decision.compress is False:
            return None
        started = self._clock()
        stored = self._codec.encode(payload)
        if self.decision.compress is None:
            self._note_sample(len(payload), len(payload if stored is None else stored), self._clock() - started)
        return stored

    def note_write(self, length: int, seconds: float) -> None:
        if self.decision.compress is None:
            self._note(written_bytes=length, write_seconds=seconds)

    def _note_sample(self, raw_bytes: int, stored_bytes: int, seconds: float) -> None:
        self._note(blocks_sampled=1, raw_bytes=raw_bytes, stored_bytes=stored_bytes, compress_seconds=seconds)

    def _note(self, **measured: float) -> None:
        with self._lock:
            sums = {name: getattr(self.decision, name) + value for name, value in measured.items()}
            decision = replace(self.decision, **sums)
            if decision.compress is None and decision.blocks_sampled >= SAMPLE_BLOCKS and decision.written_bytes:
                decision = replace(decision, compress=decision.saved_seconds > decision.compress_seconds)
            self.decision = decision


def make_codec(name: str) -> Codec:
    """A codec by the name the command line uses. Raises ValueError for an unknown one."""
    makers = {**CODECS, AutoCodec.name: AutoCodec}
    if name not in makers:
        raise ValueError(f"unknown compression {name!r}: choose one of {', '.join(sorted(makers))}")
    return makers[name]()
