"""What is to be closed when one is done with it."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closable(ABC):
    """Used in a `with`, or closed by hand."""

    @abstractmethod
    def close(self) -> None:
        """Give back memory, files, threads and processes. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
