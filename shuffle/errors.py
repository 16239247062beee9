"""What can go wrong with the records themselves; each text says what to do."""


class SortError(ValueError):
    """The input, or what was asked of it, makes no sense."""


class ResumeError(SortError):
    """A sort that was killed cannot be gone on with. Nothing of it is lost."""


class RecordFormatError(SortError):
    """The input does not consist of the records it was said to consist of."""


class JoinKeyError(SortError, TypeError):
    """The keys of the two sides of a join cannot be compared."""


class NotSortedError(SortError):
    """An input that was said to be in order is not."""
