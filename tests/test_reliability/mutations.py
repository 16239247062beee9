"""Bytes that were right, changed as disks, programs and attackers change them: a bit, a number, a block, an end.

The same source of random numbers gives the same changes. Most inputs get one change, so that what stands behind it is
still reached; some get many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

BLOCK_BYTES = 512
CHANGES_MAX = 8

INTERESTING = tuple(
    sorted(
        {0, 1, 2, 63, 64, 65, 100, 127, 128, 255, 256, 4095, 4096, 4097, 10**6}
        | {(1 << bits) + step for bits in (7, 8, 15, 16, 24, 31, 32, 47, 48, 63, 64) for step in (-1, 0, 1)}
    )
)
"""Numbers at which something begins, ends or overflows."""


class Mutator:
    """Makes hostile inputs of good ones. `others` are what pieces are taken from."""

    def __init__(self, random: Random, others: Sequence[bytes] = ()) -> None:
        self.random = random
        self._others = others
        self._changes: tuple[Callable[[bytearray], None], ...] = (
            self._flip_bit,
            self._flip_bit,
            self._set_byte,
            self._set_number,
            self._set_number,
            self._set_varint,
            self._truncate,
            self._extend,
            self._delete,
            self._repeat,
            self._swap,
            self._zero,
            self._splice,
        )

    def mutate(self, data: bytes | bytearray, *, keeps_length: bool = False) -> bytes:
        """Something else than `data`; of the same length if that is asked for."""
        while True:
            made = bytearray(data)
            for _ in range(1 if self.random.random() < 0.7 else self.random.randint(2, CHANGES_MAX)):
                if made:
                    self.random.choice(self._changes)(made)
                else:
                    self._extend(made)
            if keeps_length:
                made = (made + data[len(made) :])[: len(data)]
            if made != data:
                return bytes(made)

    def number(self) -> int:
        """Any number of 64 bits, most often one at which something happens."""
        if self.random.random() < 0.8:
            return self.random.choice(INTERESTING) % (1 << 64)
        return self.random.getrandbits(self.random.randint(1, 64))

    # --- one change each

    def _place(self, data: bytearray) -> int:
        """Often in front, where lengths and counts are."""
        return self.random.randrange(min(len(data), 64) if self.random.random() < 0.3 else len(data))

    def _flip_bit(self, data: bytearray) -> None:
        data[self._place(data)] ^= 1 << self.random.randrange(8)

    def _set_byte(self, data: bytearray) -> None:
        data[self._place(data)] = self.random.choice((0, 1, 0x0A, 0x22, 0x2C, 0x7F, 0x80, 0xFE, 0xFF))

    def _set_number(self, data: bytearray) -> None:
        """Little-endian or big-endian, at a place where numbers often stand."""
        size = self.random.choice((1, 2, 4, 8))
        place = self._place(data)
        place -= place % size if self.random.random() < 0.7 else 0
        value = self.number() % (1 << 8 * size)
        order = "little" if self.random.random() < 0.8 else "big"
        data[place : place + size] = value.to_bytes(size, order)[: len(data) - place]

    def _set_varint(self, data: bytearray) -> None:
        place = self._place(data)
        made = varint(self.number())
        data[place : place + len(made)] = made[: len(data) - place]

    def _truncate(self, data: bytearray) -> None:
        del data[self.random.randrange(len(data)) :]

    def _extend(self, data: bytearray) -> None:
        data += self.random.choice((b"\0", b"\n", b"\xff", self.random.randbytes(4))) * self.random.randint(1, 64)

    def _delete(self, data: bytearray) -> None:
        start, stop = self._piece(data)
        del data[start:stop]

    def _repeat(self, data: bytearray) -> None:
        start, stop = self._piece(data)
        data[start:start] = data[start:stop]

    def _swap(self, data: bytearray) -> None:
        """Two blocks change places."""
        size = min(BLOCK_BYTES, max(1, len(data) // 3))
        first, second = sorted(self.random.randrange(max(1, len(data) - size)) for _ in range(2))
        if first + size <= second:
            data[first : first + size], data[second : second + size] = (
                data[second : second + size],
                data[first : first + size],
            )

    def _zero(self, data: bytearray) -> None:
        start, stop = self._piece(data)
        data[start:stop] = bytes(stop - start)

    def _splice(self, data: bytearray) -> None:
        """A piece of another input, or of this one."""
        other = self.random.choice(self._others) if self._others else bytes(data)
        start, stop = self._piece(other) if other else (0, 0)
        place = self._place(data)
        data[place : place + stop - start] = other[start:stop]

    def _piece(self, data: bytes | bytearray) -> tuple[int, int]:
        start = self.random.randrange(len(data))
        return start, min(len(data), start + 1 + int(self.random.expovariate(1 / 64)))


def varint(value: int) -> bytes:
    """7 bits a byte, low group first."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def resident_bytes() -> int:
    """What this process has resident now."""
    fields = Path("/proc/self/status").read_text(encoding="ascii").split("VmRSS:")[1].split()
    return int(fields[0]) << 10


def peak_bytes() -> int:
    """The most that this process ever had resident."""
    fields = Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()
    return int(fields[0]) << 10


def batches(total: int, size: int) -> Iterator[int]:
    """`total` in parts of at most `size`."""
    for start in range(0, total, size):
        yield min(size, total - start)
