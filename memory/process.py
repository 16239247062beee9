"""What a whole process may take, and into which parts it falls.

    process ─┬─ overhead               what no rule can name: allocator slack, thread stacks, page tables
             └─ engine ─┬─ heap ─┬─ framework   interpreter, numpy, numba and their compiled code
                        │        └─ task_heap   objects of the user and of the job
                        ├─ managed              sort extents, keys, merge heads: the memory manager
                        └─ direct               buffers of the spill and output I/O

The sums hold exactly, to the byte. Each part remembers the rule that gave it its size. The model is that of
Apache Flink's task executors, without the parts that only a Java machine has. Pure: nothing is measured here.
"""

from __future__ import annotations

from dataclasses import dataclass

from memory.bounded_fraction import MemoryComponent
from memory.sizes import format_size


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """The sizes of one process; derive_process_memory() makes them."""

    framework: MemoryComponent
    task_heap: MemoryComponent
    managed: MemoryComponent
    direct: MemoryComponent
    overhead: MemoryComponent
    engine: MemoryComponent
    process: MemoryComponent

    def __post_init__(self) -> None:
        assert all(part.size_bytes >= 0 for part in self._parts()), self
        assert self.engine.size_bytes == self.heap.size_bytes + self.managed_bytes + self.direct_bytes, self
        assert self.process_bytes == self.engine.size_bytes + self.overhead.size_bytes, self

    @property
    def heap(self) -> MemoryComponent:
        """Framework and task heap together."""
        heap_bytes = self.framework.size_bytes + self.task_heap.size_bytes
        return MemoryComponent("heap", heap_bytes, "framework and task_heap")

    @property
    def managed_bytes(self) -> int:
        """What a MemoryManager may be given."""
        return self.managed.size_bytes

    @property
    def direct_bytes(self) -> int:
        """What the I/O buffers may take."""
        return self.direct.size_bytes

    @property
    def process_bytes(self) -> int:
        """The most that should ever be resident."""
        return self.process.size_bytes

    def describe(self) -> str:
        """A small table: each part, indented below what it is a part of, its size and its rule."""
        rows = [("  " * depth + part.name, format_size(part.size_bytes), part.rule) for depth, part in self._tree()]
        name_width, size_width = (max(len(row[column]) for row in rows) for column in (0, 1))
        return "\n".join(f"{name:<{name_width}}  {size:>{size_width}}  {rule}" for name, size, rule in rows)

    def as_dict(self) -> dict[str, dict[str, int | str]]:
        """The same for JSON: {part: {"bytes": ..., "rule": ...}}."""
        return {part.name: {"bytes": part.size_bytes, "rule": part.rule} for part in self._parts()}

    def _tree(self) -> list[tuple[int, MemoryComponent]]:
        return [
            (0, self.process),
            (1, self.overhead),
            (1, self.engine),
            (2, self.heap),
            (3, self.framework),
            (3, self.task_heap),
            (2, self.managed),
            (2, self.direct),
        ]

    def _parts(self) -> list[MemoryComponent]:
        return [part for _, part in self._tree()]
