"""Where tasks run: three verbs, and nothing that only one machine could do.

    handle = executor.submit("count 7", function, description)     run it somewhere, once or again
    done, rest = executor.wait(handles)                            until at least one has ended
    executor.get(handle)                                           its result, or what it raised

`local` is `shuffle.exchange.task_manager.TaskManager`. Another engine need only give each task a `Slot` of its own.
"""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from shuffle.exchange.tasks import TaskFunction, TaskReport


class Handle(Protocol):
    """A task that was submitted."""

    @property
    def task(self) -> str:
        """Its name."""

    @property
    def report(self) -> TaskReport | None:
        """What it took; None before its end."""


class Executor(Protocol):
    """Runs tasks. Used by one thread at a time."""

    @property
    def slots(self) -> int:
        """How many tasks run at once: nobody gains by submitting many more before some have ended."""

    @property
    def temp_dirs(self) -> tuple[str, ...]:
        """Directories that tasks and driver share: what one leaves there, the others find."""

    def submit(self, task: str, function: TaskFunction, *descriptions: Any) -> Handle:
        """Run `function(slot, *descriptions)`; `task` is its name in errors. Raises TaskNotSendableError."""

    def wait(self, handles: Sequence[Handle], count: int = 1) -> tuple[list[Handle], list[Handle]]:
        """Return when `count` of the tasks (or all, if there are fewer) have ended: (those that have, the others)."""

    def get(self, handle: Handle) -> Any:
        """The result, once it is there. Raises TaskFailedError, WorkerDiedError, TaskCancelledError."""

    def cancel(self, handles: Iterable[Handle]) -> None:
        """End tasks that have not ended, and return when nothing of them is left."""

    def close(self) -> None:
        """Cancel what runs, and give everything back. Idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
