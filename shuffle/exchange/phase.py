"""Many tasks on an executor: submitted as earlier ones end, so that neither work nor descriptions pile up."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from shuffle.exchange.executor import Executor, Handle
from shuffle.exchange.shuffle_result import ShuffleReport
from shuffle.exchange.tasks import TaskFunction

AHEAD = 2
"""Tasks submitted for each slot: one that runs, and one that can begin as soon as it ends."""


@dataclass(frozen=True)
class Work:
    """One task: its name, its function, and its description."""

    task: str
    function: TaskFunction
    description: Any


def run_tasks(
    executor: Executor, works: Iterable[Work], report: ShuffleReport
) -> Generator[tuple[int, Any], None, None]:
    """(number, result) of each task, as they end. Whatever goes wrong, here or with whoever iterates, ends them all."""
    running: dict[Handle, int] = {}
    try:
        for number, work in enumerate(works):
            running[executor.submit(work.task, work.function, work.description)] = number
            while len(running) >= AHEAD * executor.slots:
                yield from _ended(executor, running, report)
        while running:
            yield from _ended(executor, running, report)
    except BaseException:
        executor.cancel(running)
        raise


def _ended(executor: Executor, running: dict[Handle, int], report: ShuffleReport) -> Iterator[tuple[int, Any]]:
    """What has ended, of which there is one at least."""
    done, _ = executor.wait(list(running))
    for handle in done:
        result = executor.get(handle)
        _note(handle, report)
        yield running.pop(handle), result


def _note(handle: Handle, report: ShuffleReport) -> None:
    if (of_task := handle.report) is not None:
        report.worker_resident_bytes_peak = max(report.worker_resident_bytes_peak, of_task.peak_resident_bytes)
        for owner, size_bytes in of_task.leaked.items():
            report.leaked[f"{handle.task}: {owner}"] = size_bytes
