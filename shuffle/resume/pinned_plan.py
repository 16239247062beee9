"""The plan of a job, kept for whoever goes on with it, and what may be different then.

The sizes of a plan follow from what the machine and the process are at the moment, and those are never the same twice.
The blocks of runs are as long as the first plan made them, and the last merge has as many ranges, so that plan is
followed to the end. It fits any budget that is no smaller. Fewer threads may work on it; more would have no memory.
"""

from dataclasses import asdict, replace
from typing import Any

from memory import MemoryComponent, MemoryConfigurationError, ProcessMemory, format_size
from shuffle.errors import ResumeError
from shuffle.options import SortOptions
from shuffle.plan import SortPlan


def plan_to_json(plan: SortPlan) -> dict[str, Any]:
    """The plan as a journal holds it."""
    return asdict(plan)


def plan_from_json(fields: Any, place: str) -> SortPlan:
    """Raises ResumeError, which names `place`, where this version of the program has no such plans."""
    try:
        parts = {name: MemoryComponent(**part) for name, part in fields["memory"].items()}
        plan = SortPlan(**{**fields, "memory": ProcessMemory(**parts)})
        sizes = (plan.threads, plan.extent_bytes, plan.extent_count, plan.block_bytes, plan.output_bytes)
        counts = (plan.input_bytes, plan.open_runs_max, plan.memory.managed_bytes, plan.memory.direct_bytes)
        if not all(type(size) is int and 0 < size < 1 << 48 for size in (*sizes, plan.open_runs_max)):
            raise ValueError(f"sizes {sizes}")
        if not all(type(count) is int and 0 <= count < 1 << 56 for count in counts):
            raise ValueError(f"counts {counts}")
    except (TypeError, KeyError, ValueError, AttributeError, AssertionError) as error:
        raise ResumeError(
            f"{place}: its journal holds no plan that can be followed: another version of this program began it. "
            "`spillway clean --unfinished` removes it"
        ) from error
    return plan


def fitted(plan: SortPlan, fresh: SortPlan, options: SortOptions) -> SortPlan:
    """The plan for a job that goes on, in surroundings for which `fresh` was made. Raises MemoryConfigurationError."""
    if options.memory_bytes is not None and options.memory_bytes < plan.memory.process_bytes:
        given, planned = format_size(options.memory_bytes), plan.memory.process_bytes
        raise MemoryConfigurationError(
            f"--memory {given} is less than this sort began with, and what it has finished is cut to that size. "
            f"Give {format_size(planned)} ({planned} bytes) or more, or leave --memory out"
        )
    threads = min(plan.threads, options.threads or plan.threads)
    return replace(plan, threads=threads, open_runs_max=min(plan.open_runs_max, fresh.open_runs_max))
