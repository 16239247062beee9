"""How a task asks the engine to sort or merge within its slot."""

from io_manager import JobKey
from serializers import RecordLayout
from shuffle.exchange.slots import Slot
from shuffle.options import SortOptions


def task_options(slot: Slot, layout: RecordLayout, memory_bytes: int, job_key: JobKey | None) -> SortOptions:
    """`memory_bytes` are reserved in the slot; `job_key` seals what is spilled, if that is sealed."""
    return SortOptions(layout=layout, memory_bytes=memory_bytes, temp_dirs=slot.temp_dirs, threads=1, job_key=job_key)
