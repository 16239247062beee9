"""So many bytes, and who holds how many of them. Bookkeeping only, and not locked: the manager does both."""

from memory.errors import MemoryBudgetError


class MemoryBudget:
    """`total_bytes` to be shared; what owners hold never adds up to more."""

    __slots__ = ("_held_bytes", "total_bytes", "used_bytes")

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.used_bytes = 0
        self._held_bytes: dict[str, int] = {}

    @property
    def free_bytes(self) -> int:
        """What nobody holds."""
        return self.total_bytes - self.used_bytes

    def holders(self) -> dict[str, int]:
        """Bytes by owner, the largest first; owners of nothing are left out."""
        return dict(sorted(self._held_bytes.items(), key=lambda holder: (-holder[1], holder[0])))

    def require(self, owner: str, size_bytes: int) -> None:
        """Raise MemoryBudgetError unless so much is free. Charges nothing."""
        if size_bytes > self.free_bytes:
            raise MemoryBudgetError(owner, size_bytes, self.free_bytes, self.total_bytes, self.holders())

    def charge(self, owner: str, size_bytes: int) -> None:
        """`owner` holds so much more; it was required before."""
        assert 0 <= size_bytes <= self.free_bytes, (size_bytes, self.free_bytes)
        self.used_bytes += size_bytes
        self._set(owner, self._held_bytes.get(owner, 0) + size_bytes)

    def credit(self, owner: str, size_bytes: int) -> None:
        """`owner` gives so much back."""
        held_bytes = self._held_bytes.get(owner, 0)
        assert 0 <= size_bytes <= held_bytes, (owner, size_bytes, held_bytes)
        self.used_bytes -= size_bytes
        self._set(owner, held_bytes - size_bytes)

    def _set(self, owner: str, held_bytes: int) -> None:
        if held_bytes:
            self._held_bytes[owner] = held_bytes
        else:
            self._held_bytes.pop(owner, None)
