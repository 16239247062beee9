"""Who may hold how many bytes: the managed memory of one job, or of one slot.

                          ┌ segments   single, for rows and pages
    total_bytes ──────────┼ extents    contiguous, for sort and I/O buffers
                          ├ reservations   bytes kept elsewhere, only counted
                          └ free

Every request names its owner and gets all or nothing. A refusal changes nothing and says who holds what.
Bytes are credited once, however often they are given back. Safe to use from several threads; nobody ever
waits for memory here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

from memory.arena import MemoryMode
from memory.budget import MemoryBudget
from memory.errors import MemoryShutdownError, SegmentReleasedError
from memory.extent import Extent
from memory.reservation import Reservation
from memory.segment import DEFAULT_SEGMENT_BYTES, MemorySegment, check_segment_bytes
from memory.sizes import format_size
from memory.source import LazySource, MemorySource, PreallocatedSource, Span

Holding = MemorySegment | Extent | Reservation
Held = TypeVar("Held", MemorySegment, Extent, Reservation)


class MemoryManager:
    """`total_bytes` of managed memory.

    mode "off-heap" maps memory outside the Python heap, "heap" uses bytearrays (not aligned to pages).
    preallocate=False asks the operating system at each request and gives back at each release; True cuts
    everything from one arena whose pages stay warm between owners. Raises ValueError for a segment size that
    is not a power of two, or below 4 KiB.
    """

    def __init__(
        self,
        total_bytes: int,
        *,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        mode: MemoryMode = "off-heap",
        preallocate: bool = False,
    ) -> None:
        if total_bytes < 0:
            raise ValueError(f"managed memory cannot be {total_bytes} bytes")
        if mode not in ("off-heap", "heap"):
            raise ValueError(f"memory mode is 'off-heap' or 'heap', not {mode!r}")
        self.total_bytes = total_bytes
        self.segment_bytes = check_segment_bytes(segment_bytes)
        self.mode = mode
        self._budget = MemoryBudget(total_bytes)
        self._source: MemorySource = (
            PreallocatedSource(total_bytes // segment_bytes, segment_bytes, mode)
            if preallocate
            else LazySource(segment_bytes, mode)
        )
        self._held: dict[str, dict[Holding, Span | None]] = {}
        self._lock = threading.Lock()
        self._shut_down = False

    def __repr__(self) -> str:
        used, total = format_size(self._budget.used_bytes), format_size(self.total_bytes)
        return f"<MemoryManager: {used} of {total} used, {self.mode}>"

    def __enter__(self) -> MemoryManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()

    # ---------------------------------------------------------------- asking

    def allocate_segments(self, owner: str, count: int) -> list[MemorySegment]:
        """`count` segments, not necessarily neighbours.

        Raises MemoryBudgetError if they are not free, MemoryError if the operating system has no more,
        TypeError or ValueError for an owner without a name or a negative count, MemoryShutdownError after
        shutdown().
        """
        _check_owner(owner)
        if count < 0:
            raise ValueError(f"cannot allocate {count} segments")
        with self._open():
            self._budget.require(owner, count * self.segment_bytes)
            spans = self._source.take_segments(count)
            return [self._hold(self._segment_on(span, owner), span) for span in spans]

    def allocate_extent(self, owner: str, size_bytes: int) -> Extent:
        """At least `size_bytes` in one piece, rounded up to whole segments. Raises as above."""
        _check_owner(owner)
        if size_bytes <= 0:
            raise ValueError(f"an extent cannot be {size_bytes} bytes")
        count = -(-size_bytes // self.segment_bytes)
        with self._open():
            self._budget.require(owner, count * self.segment_bytes)
            span = self._source.take_extent(count)
            return self._hold(self._extent_on(span, owner), span)

    def reserve(self, owner: str, size_bytes: int = 0) -> Reservation:
        """Count `size_bytes` as held by `owner`, who keeps them elsewhere. Raises as above."""
        _check_owner(owner)
        if size_bytes < 0:
            raise ValueError(f"cannot reserve {size_bytes} bytes")
        with self._open():
            self._budget.require(owner, size_bytes)
            reservation = Reservation(owner, resize=self._resize, on_release=self._take_home)
            reservation.size_bytes = size_bytes
            return self._hold(reservation, None)

    # ------------------------------------------------------------ giving back

    def release(self, holdings: Holding | Iterable[Holding | None] | None) -> None:
        """Take back one holding, or many of any owners. None, and what was released before, are passed over.

        Raises ValueError for what another manager (or an extent) lent out, and then nothing has been
        released.
        """
        listed = _listed(holdings)
        with self._open():
            for holding in listed:
                if not holding.released and holding not in self._held.get(holding.owner, ()):
                    raise ValueError(f"{holding!r} was not lent out by this manager: release it where it came from")
            for holding in listed:
                self._drop(holding)

    def release_all(self, owner: str) -> int:
        """Take back everything `owner` holds, and say how many bytes that was."""
        _check_owner(owner)
        with self._open():
            used_bytes = self._budget.used_bytes
            for holding in list(self._held.get(owner, ())):
                self._drop(holding)
            return used_bytes - self._budget.used_bytes

    def shutdown(self) -> dict[str, int]:
        """Take back everything from everybody; afterwards every request raises MemoryShutdownError.

        Returns who still held how many bytes: empty when all came home by itself. A second shutdown does
        nothing.
        """
        with self._lock:
            holders = self._budget.holders()
            for holding in [holding for held in self._held.values() for holding in held]:
                self._drop(holding)
            self._source.close()
            self._shut_down = True
            return holders

    # --------------------------------------------------------------- counting

    @property
    def free_bytes(self) -> int:
        """What nobody holds."""
        with self._open():
            return self._budget.free_bytes

    @property
    def used_bytes(self) -> int:
        """What is held, by whomever."""
        with self._open():
            return self._budget.used_bytes

    def holders(self) -> dict[str, int]:
        """Bytes held by each owner, the largest first."""
        with self._open():
            return self._budget.holders()

    def verify_empty(self) -> bool:
        """Whether everything has come home. May be asked after shutdown() too."""
        with self._lock:
            return self._budget.used_bytes == 0

    def bytes_for_fraction(self, fraction: float) -> int:
        """`fraction` of the total, rounded down. Raises ValueError unless 0 < fraction <= 1."""
        with self._open():
            return int(self.total_bytes * _check_fraction(fraction))

    def segments_for_fraction(self, fraction: float) -> int:
        """`fraction` of all segments, rounded down. Raises ValueError unless 0 < fraction <= 1."""
        with self._open():
            return int(self.total_bytes // self.segment_bytes * _check_fraction(fraction))

    # --------------------------------------------------------------- the books

    @contextmanager
    def _open(self) -> Iterator[None]:
        """The lock, and the certainty that the manager still works."""
        with self._lock:
            if self._shut_down:
                raise MemoryShutdownError("the memory manager has been shut down: make a new one for a new job")
            yield

    def _segment_on(self, span: Span, owner: str) -> MemorySegment:
        return MemorySegment(span.window(), owner=owner, on_release=self._take_home)

    def _extent_on(self, span: Span, owner: str) -> Extent:
        return Extent(span.window(), owner=owner, segment_bytes=self.segment_bytes, on_release=self._take_home)

    def _hold(self, holding: Held, span: Span | None) -> Held:
        self._budget.charge(holding.owner, holding.size_bytes)
        self._held.setdefault(holding.owner, {})[holding] = span
        self._source.keep_at_most(self._budget.free_bytes)
        return holding

    def _drop(self, holding: Holding) -> None:
        """Credit what is held, once, and retire it before anybody else can be given its memory."""
        held = self._held.get(holding.owner, {})
        if holding not in held:
            return
        span = held.pop(holding)
        if not held:
            del self._held[holding.owner]
        self._budget.credit(holding.owner, holding.size_bytes)
        holding.retire()
        if span is not None:
            self._source.give_back(span)

    def _take_home(self, holding: Holding) -> None:
        """What holding.release() calls; a shutdown that came first has done it already."""
        with self._lock:
            self._drop(holding)

    def _resize(self, reservation: Reservation, change_bytes: int) -> None:
        """What Reservation.grow() and shrink() call."""
        with self._open():
            if reservation not in self._held.get(reservation.owner, ()):
                raise SegmentReleasedError(f"{reservation!r} was used after its release")
            if reservation.size_bytes + change_bytes < 0:
                raise ValueError(f"{reservation!r} cannot give back {-change_bytes} bytes: it does not hold them")
            if change_bytes < 0:
                self._budget.credit(reservation.owner, -change_bytes)
            else:
                self._budget.require(reservation.owner, change_bytes)
                self._budget.charge(reservation.owner, change_bytes)
                self._source.keep_at_most(self._budget.free_bytes)
            reservation.size_bytes += change_bytes


def _check_owner(owner: str) -> None:
    if not isinstance(owner, str):
        raise TypeError(f"the owner of memory is a name, not {owner!r}")
    if not owner.strip():
        raise ValueError("memory needs an owner with a name: it is what the error says when memory runs out")


def _check_fraction(fraction: float) -> float:
    if not 0 < fraction <= 1:
        raise ValueError(f"a fraction of the managed memory lies above 0 and at most at 1, not at {fraction}")
    return fraction


def _listed(holdings: Holding | Iterable[Holding | None] | None) -> list[Holding]:
    """A copy of what is there now: the caller's list may be changed by another thread meanwhile."""
    if holdings is None:
        return []
    if isinstance(holdings, MemorySegment | Extent | Reservation):
        return [holdings]
    listed = [holding for holding in list(holdings) if holding is not None]
    for holding in listed:
        if not isinstance(holding, MemorySegment | Extent | Reservation):
            raise TypeError(f"only segments, extents and reservations can be released, not {holding!r}")
    return listed
