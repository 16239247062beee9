"""What is to be closed when one is done with it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
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


class ClosedByError(Closable):
    """Closed by the first error, which is raised again to whoever asks next: the first may have kept it to himself.

    `close` sets `_is_closed`.
    """

    _error: BaseException | None = None
    _is_closed = False

    def _check_open(self, when_closed: str) -> None:
        """Raises the first error, or ValueError with the text `when_closed`."""
        if self._error is not None:
            raise self._error
        if self._is_closed:
            raise ValueError(when_closed)

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except GeneratorExit:  # nothing is wrong: a reader had enough
            raise
        except BaseException as error:
            self._error = error
            self.close()
            raise
