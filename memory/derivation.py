"""From one number to the size of every part of a process.

    given                         | task_heap | managed   | direct               | overhead
    ------------------------------+-----------+-----------+----------------------+---------------------
    process                       | default   | remainder | fraction of engine   | fraction of process
    engine                        | default   | remainder | fraction of engine   | beside the engine
    + managed (or its fraction)   | remainder | given     | fraction of engine   | as above
    + task_heap                   | given     | remainder | fraction of engine   | as above
    engine + managed + task_heap  | given     | given     | remainder            | as above
    managed + task_heap alone     | given     | given     | beside these three   | beside the engine
    process and engine            |           as with engine                     | remainder
    process, managed, task_heap   |           as managed + task_heap alone       | remainder

"Beside" is the inverse of a fraction (see BoundedFraction). A remainder must lie between the bounds of its
part. What contradicts itself is refused with the list of all parts and the rule of each; what is too small is
refused with the floor, which is this same derivation run from the smallest managed memory upwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from memory.bounded_fraction import BoundedFraction, MemoryComponent
from memory.errors import MemoryConfigurationError
from memory.process import ProcessMemory
from memory.sizes import GIB, MIB, format_size, parse_size

# Resident after the imports, measured: numpy 26, numba 89, with pyarrow 114 MiB. Plain files need no pyarrow.
FRAMEWORK_BYTES = 112 * MIB
TASK_HEAP_BYTES = 8 * MIB
MANAGED_BYTES_MIN = 4 * MIB
DIRECT_FRACTION, DIRECT_BYTES_MIN, DIRECT_BYTES_MAX = 0.15, 6 * MIB, 1 * GIB
OVERHEAD_FRACTION, OVERHEAD_BYTES_MIN, OVERHEAD_BYTES_MAX = 0.05, 8 * MIB, 256 * MIB

Size = int | str


def derive_process_memory(
    *,
    process: Size | None = None,
    engine: Size | None = None,
    framework: Size = FRAMEWORK_BYTES,
    task_heap: Size | None = None,
    managed: Size | None = None,
    managed_fraction: float | None = None,
    managed_min: Size = MANAGED_BYTES_MIN,
    direct_fraction: float = DIRECT_FRACTION,
    direct_min: Size = DIRECT_BYTES_MIN,
    direct_max: Size = DIRECT_BYTES_MAX,
    overhead_fraction: float = OVERHEAD_FRACTION,
    overhead_min: Size = OVERHEAD_BYTES_MIN,
    overhead_max: Size = OVERHEAD_BYTES_MAX,
) -> ProcessMemory:
    """All sizes from those given: `process`, or `engine`, or `managed` and `task_heap`. See the table above.

    Sizes are bytes or text as parse_size() reads it. `managed_fraction` is of the engine. `managed_min` is
    the least managed memory with which the job can run at all. Raises MemoryConfigurationError when the sizes
    contradict each other or fall below the floor, SizeError for text.
    """
    wishes = _Wishes(
        process=_size(process),
        engine=_size(engine),
        framework=_given("framework", framework, "default" if framework == FRAMEWORK_BYTES else "given"),
        task_heap=None if task_heap is None else _given("task_heap", task_heap),
        managed=None if managed is None else _given("managed", managed),
        managed_fraction=_checked_fraction(managed_fraction, managed),
        managed_min=parse_size(managed_min),
        direct=BoundedFraction("direct", "engine", direct_fraction, parse_size(direct_min), parse_size(direct_max)),
        overhead=BoundedFraction(
            "overhead", "process", overhead_fraction, parse_size(overhead_min), parse_size(overhead_max)
        ),
    )
    return _derive(wishes)


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What was given, read and checked one by one. None means: derive it."""

    process: int | None
    engine: int | None
    framework: MemoryComponent
    task_heap: MemoryComponent | None
    managed: MemoryComponent | None
    managed_fraction: float | None
    managed_min: int
    direct: BoundedFraction
    overhead: BoundedFraction


@dataclass(frozen=True, slots=True)
class _Engine:
    """The parts of the engine, and their sum with its rule."""

    framework: MemoryComponent
    task_heap: MemoryComponent
    managed: MemoryComponent
    direct: MemoryComponent
    total: MemoryComponent

    def parts(self) -> tuple[MemoryComponent, MemoryComponent, MemoryComponent, MemoryComponent]:
        return self.framework, self.task_heap, self.managed, self.direct


def _derive(wishes: _Wishes) -> ProcessMemory:
    if wishes.engine is not None:
        engine = _split(wishes, MemoryComponent("engine", wishes.engine, "given"))
        overhead = _overhead_around(wishes, engine)
    elif wishes.task_heap is not None and wishes.managed is not None:
        engine = _build_up(wishes, wishes.task_heap, wishes.managed)
        overhead = _overhead_around(wishes, engine)
    elif wishes.process is not None:
        overhead = wishes.overhead.share_of(wishes.process)
        engine_bytes = wishes.process - overhead.size_bytes
        engine = _split(wishes, MemoryComponent("engine", engine_bytes, "process minus overhead"), overhead)
    else:
        raise MemoryConfigurationError(
            "nothing to derive the memory sizes from: give process (the whole process), "
            "or engine (the process minus its overhead), or both managed and task_heap"
        )
    return _assemble(wishes, engine, overhead)


# -------------------------------------------------------------------- the engine


def _split(wishes: _Wishes, total: MemoryComponent, *around: MemoryComponent) -> _Engine:
    """The parts of an engine whose total is known. `around` are parts outside it, for the texts of errors."""
    managed = _managed_of(wishes, total)
    if managed is not None and wishes.task_heap is not None:
        return _split_leaving_direct(wishes, wishes.task_heap, managed, total, around)
    direct = wishes.direct.share_of(max(total.size_bytes, 0))
    if managed is not None:
        left = _remainder("task_heap", total, (wishes.framework, managed, direct), around)
        return _Engine(wishes.framework, left, managed, direct, total)
    task_heap = wishes.task_heap or MemoryComponent("task_heap", TASK_HEAP_BYTES, "default")
    managed_bytes = total.size_bytes - sum(part.size_bytes for part in (wishes.framework, task_heap, direct))
    if managed_bytes < wishes.managed_min:
        raise _below_floor(wishes, task_heap, (wishes.framework, task_heap, direct, *around))
    managed = MemoryComponent("managed", managed_bytes, "remainder of engine")
    return _Engine(wishes.framework, task_heap, managed, direct, total)


def _split_leaving_direct(
    wishes: _Wishes,
    task_heap: MemoryComponent,
    managed: MemoryComponent,
    total: MemoryComponent,
    around: tuple[MemoryComponent, ...],
) -> _Engine:
    parts = (wishes.framework, task_heap, managed)
    direct = _remainder("direct", total, parts, around)
    _check_remainder(direct, wishes.direct, (*parts, *around, total))
    return _Engine(*parts, direct, total)


def _build_up(wishes: _Wishes, task_heap: MemoryComponent, managed: MemoryComponent) -> _Engine:
    """The parts of an engine whose total follows from them."""
    parts = (wishes.framework, task_heap, managed)
    direct = wishes.direct.share_beside(sum(part.size_bytes for part in parts))
    total_bytes = sum(part.size_bytes for part in (*parts, direct))
    return _Engine(*parts, direct, MemoryComponent("engine", total_bytes, "sum of its parts"))


def _managed_of(wishes: _Wishes, total: MemoryComponent) -> MemoryComponent | None:
    if wishes.managed_fraction is None:
        return wishes.managed
    share = BoundedFraction("managed", "engine", wishes.managed_fraction, 0, max(total.size_bytes, 0))
    return share.share_of(max(total.size_bytes, 0))


# ------------------------------------------------------------------- the process


def _overhead_around(wishes: _Wishes, engine: _Engine) -> MemoryComponent:
    """The overhead of a process whose engine is known: what it leaves of the process, or its usual share."""
    if wishes.process is None:
        return wishes.overhead.share_beside(engine.total.size_bytes)
    process = MemoryComponent("process", wishes.process, "given")
    overhead = _remainder("overhead", process, (engine.total,), engine.parts())
    _check_remainder(overhead, wishes.overhead, (*engine.parts(), engine.total, process))
    return overhead


def _assemble(wishes: _Wishes, engine: _Engine, overhead: MemoryComponent) -> ProcessMemory:
    if engine.managed.size_bytes < wishes.managed_min:
        raise MemoryConfigurationError(
            f"managed is {format_size(engine.managed.size_bytes)} ({engine.managed.rule}), and a job needs "
            f"at least {format_size(wishes.managed_min)}: raise it.\n{_listing((*engine.parts(), overhead))}"
        )
    process = MemoryComponent(
        "process",
        engine.total.size_bytes + overhead.size_bytes,
        "engine plus overhead" if wishes.process is None else "given",
    )
    return ProcessMemory(*engine.parts(), overhead, engine.total, process)


# --------------------------------------------------------------------- the checks


def _remainder(
    name: str,
    total: MemoryComponent,
    parts: tuple[MemoryComponent, ...],
    around: tuple[MemoryComponent, ...],
) -> MemoryComponent:
    parts_bytes = sum(part.size_bytes for part in parts)
    if parts_bytes > total.size_bytes:
        names = " + ".join(part.name for part in parts)
        raise MemoryConfigurationError(
            f"{names} need {format_size(parts_bytes)}, and {total.name} is {format_size(total.size_bytes)}: "
            f"lower one of them, or raise {total.name}.\n{_listing((*parts, *around, total))}"
        )
    return MemoryComponent(name, total.size_bytes - parts_bytes, f"remainder of {total.name}")


def _check_remainder(part: MemoryComponent, bounds: BoundedFraction, others: tuple[MemoryComponent, ...]) -> None:
    if not bounds.admits(part.size_bytes):
        raise MemoryConfigurationError(
            f"{part.name} is {format_size(part.size_bytes)}, the {part.rule}, which is not between "
            f"{part.name}_min {format_size(bounds.bytes_min)} and {part.name}_max "
            f"{format_size(bounds.bytes_max)}: change the other parts or these bounds.\n"
            f"{_listing((*others, part))}"
        )


def _below_floor(
    wishes: _Wishes, task_heap: MemoryComponent, parts: Iterable[MemoryComponent]
) -> MemoryConfigurationError:
    """The floor is what the same wishes add up to around the least managed memory."""
    least = MemoryComponent("managed", wishes.managed_min, "least that works")
    smallest = _derive(replace(wishes, process=None, engine=None, task_heap=task_heap, managed=least))
    given_bytes, floor = wishes.engine, smallest.engine
    if given_bytes is None:
        given_bytes, floor = wishes.process or 0, smallest.process
    return MemoryConfigurationError(
        f"too little memory: {floor.name} is {format_size(given_bytes)}, and the floor is "
        f"{_whole_mib(floor.size_bytes)}. Give at least that.\n{_listing((*parts, least))}"
    )


def _listing(parts: Iterable[MemoryComponent]) -> str:
    return "\n".join(f"  {part}" for part in parts)


def _whole_mib(size_bytes: int) -> str:
    """Rounded up, so that whoever gives what the text says is not refused again."""
    return f"{-(-size_bytes // MIB)} MiB"


# -------------------------------------------------------------------- the reading


def _size(size: Size | None) -> int | None:
    return None if size is None else parse_size(size)


def _given(name: str, size: Size, rule: str = "given") -> MemoryComponent:
    return MemoryComponent(name, parse_size(size), rule)


def _checked_fraction(managed_fraction: float | None, managed: Size | None) -> float | None:
    if managed_fraction is None:
        return None
    if managed is not None:
        raise MemoryConfigurationError(
            f"managed is given twice, as {managed} and as {managed_fraction} of engine: leave one out"
        )
    if not 0 <= managed_fraction < 1:
        raise MemoryConfigurationError(f"managed_fraction is {managed_fraction}: it must be at least 0 and less than 1")
    return managed_fraction
