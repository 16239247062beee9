"""Which input it was: path, size, time of the last change, and a hash of what stands at fixed places.

    |##|......|##|......|##|......|##|      64 pieces of 16 KiB, the first at the beginning, the last at the end;
                                            of an input of 1 MiB or less every byte

Reading all of an input again would cost a quarter of the sort. Whoever changes an input between those places, keeps its
length and sets its time back is not found out: the time is what tells of ordinary changes, and the hash of those that a
copy or a restored backup brings along. The number of the file's inode says nothing that these do not say better.
"""

from dataclasses import dataclass

from io_manager import InputFile, checksum

PIECES = 64
PIECE_BYTES = 16 << 10


@dataclass(frozen=True)
class InputIdentity:
    """One input file."""

    path: str
    size_bytes: int
    modified_ns: int
    sample: int

    def changes(self, now: "InputIdentity") -> str | None:
        """What is different now, in words; None if it is the same input."""
        if self.path != now.path:
            return f"the input was {self.path}, and is {now.path} now"
        if self.size_bytes != now.size_bytes:
            return f"{self.path} had {self.size_bytes:,} bytes, and has {now.size_bytes:,} now"
        if self.modified_ns != now.modified_ns:
            return f"{self.path} was written to since"
        if self.sample != now.sample:
            return f"{self.path} has the size and the time it had, but other contents"
        return None


async def identify(source: InputFile) -> InputIdentity:
    """The identity of an open input that can be read anywhere."""
    assert source.size is not None, "a pipe has none"
    view = memoryview(bytearray(PIECE_BYTES))
    digest = 0
    for offset in sample_offsets(source.size):
        length = await source.read_into(view, offset)
        digest = checksum(digest.to_bytes(8, "little") + bytes(view[:length]))
    return InputIdentity(str(source.path.absolute()), source.size, source.modified_ns, digest)


def sample_offsets(size_bytes: int) -> list[int]:
    """Where the pieces begin."""
    if size_bytes <= PIECES * PIECE_BYTES:
        return list(range(0, size_bytes, PIECE_BYTES))
    return [(size_bytes - PIECE_BYTES) * piece // (PIECES - 1) for piece in range(PIECES)]
