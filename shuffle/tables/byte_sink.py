"""A file for pyarrow to write to, byte after byte, whatever the bytes then go through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from memory import MIB

_WRITE_BYTES = 1 * MIB


class ByteSink(ABC):
    """Collects what is written into pieces of about 1 MiB, which `put` gets in order. pyarrow asks for the rest."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._position = 0
        self.closed = False

    @abstractmethod
    def put(self, position: int, piece: memoryview) -> None:
        """Take a piece that begins after `position` bytes. Raises what the disk does."""

    def write(self, data: Any) -> int:
        """Append bytes. Raises what `put` does."""
        view = memoryview(data)
        self._waiting += view
        if len(self._waiting) >= _WRITE_BYTES:
            self.put_waiting()
        return view.nbytes

    def put_waiting(self) -> None:
        """Let what was collected go."""
        waiting, self._waiting = self._waiting, bytearray()
        if waiting:
            self.put(self._position, memoryview(waiting))
            self._position += len(waiting)

    def tell(self) -> int:
        """How many bytes were written."""
        return self._position + len(self._waiting)

    def flush(self) -> None:  # noqa: B027 - so it is for every sink
        """Nothing to do: what waits goes when the sink is left."""

    def close(self) -> None:  # noqa: B027
        """As pyarrow calls it when it has written the last byte; whoever made the sink decides about its end."""

    def readable(self) -> bool:
        """For pyarrow, which asks."""
        return False

    def writable(self) -> bool:
        """For pyarrow, which asks."""
        return True

    def seekable(self) -> bool:
        """For pyarrow, which asks."""
        return False
