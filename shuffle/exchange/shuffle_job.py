"""A shuffle job: map tasks over the splits of the input, then reduce tasks over partitions, on an executor.

    with shuffle.Shuffle(map=words, reduce=operator.add, partitions=16).run("book.txt") as counts:
        for word, count in counts: ...

The results are the same, to the last bit and in the same order, for any number of slots and any memory.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from shuffle.exchange.shuffle_options import ShuffleOptions

if TYPE_CHECKING:
    from shuffle.exchange.executor import Executor
    from shuffle.exchange.partitioners import Partitioner
    from shuffle.exchange.shuffle_result import ShuffleResult


class Shuffle:
    """A job that can be run as often as wanted. `ShuffleOptions` says what may be chosen.

    Raises ValueError and TypeError kinds for choices that make no sense.
    """

    def __init__(self, **choices: Any) -> None:
        self.options = ShuffleOptions(**choices)
        self.partitioner = _partitioner(self.options)

    def run(self, inputs: Any, executor: Literal["local"] | Executor = "local") -> ShuffleResult:
        """Run the job to its end.

        inputs    a path, or a list of pathlib.Path: text files (records are lines without their newline) and Parquet
                  files (records are dictionaries); or a list of splits, objects with read(); or any iterable of records
        executor  "local": worker processes, for this job alone; or an `Executor`, which stays open

        Raises TaskFailedError, with what a function raised as its cause, and the task and the record named;
        WorkerDiedError; SerializationError kinds for pairs without a common type or keys without an order;
        MemoryConfigurationError, before anything starts, for too little memory; and what `inputs` raises. Nothing is
        left then: no process that was started here, no file.
        """
        from shuffle.exchange.shuffle_run import ShuffleRun

        with self._executor(executor) as opened:
            return ShuffleRun(self.options, self.partitioner, opened).run(inputs)

    def _executor(self, executor: Literal["local"] | Executor) -> AbstractContextManager[Executor]:
        options = self.options
        if executor == "local":
            from shuffle.exchange.task_manager import TaskManager

            return TaskManager(slots=options.slots, memory=_memory(options), temp_dirs=options.temp_dirs)
        if isinstance(executor, str):
            raise ValueError(f"executor={executor!r}: give 'local', or an Executor such as a TaskManager")
        if options.slots is not None or options.memory is not None or options.temp_dirs:
            raise ValueError("slots=, memory= and temp_dirs= are the executor's: give them when it is made")
        return nullcontext(executor)


def _memory(options: ShuffleOptions) -> int | str | None:
    """What is left for slots and driver: the driver encrypts, too. Tasks count their own cipher."""
    if not options.encrypt_spill:
        return options.memory
    from io_manager import CIPHER_MEMORY_BYTES
    from memory import default_memory_bytes, parse_size

    memory_bytes = default_memory_bytes() if options.memory is None else parse_size(options.memory)
    return max(0, memory_bytes - CIPHER_MEMORY_BYTES)


def _partitioner(options: ShuffleOptions) -> Partitioner:
    """Raises PartitionerError for what is none, ValueError where keys that belong together would not meet."""
    from shuffle.exchange.partitioners import RangePartitioner, check_partitions, partitioner_of

    partitioner = partitioner_of(options.partition_by)
    check_partitions(options.partitions)
    groups = options.reduce is not None or options.group_reduce is not None
    if not partitioner.sorts_by_key and (groups or options.sort_by is not None):
        raise ValueError(
            f"partition_by={options.partition_by!r} does not bring equal keys together, so there is nothing to reduce "
            "or to sort within. Partition by hash, by range, or with a function of the key"
        )
    if groups and isinstance(partitioner, RangePartitioner):
        return replace(partitioner, whole_keys=True)
    return partitioner


__all__ = ["Shuffle"]
