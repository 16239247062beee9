"""A fraction of a whole, held between two bounds: how the parts of the process memory follow from one number.

    forward   share_of(whole)    = clamp(fraction * whole)                  "15% of engine"
    inverse   share_beside(rest) = clamp(fraction / (1 - fraction) * rest)  the same, from what it leaves over

The two agree: clamped alike, share_of(rest + share_beside(rest)) never exceeds share_beside(rest), and falls
short of it by the rounding at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from memory.errors import MemoryConfigurationError
from memory.sizes import format_size


@dataclass(frozen=True, slots=True)
class MemoryComponent:
    """One part of the process memory, its size in bytes, and the rule that gave it that size."""

    name: str
    size_bytes: int
    rule: str

    def __str__(self) -> str:
        return f"{self.name} {format_size(self.size_bytes)} ({self.rule})"


@dataclass(frozen=True, slots=True)
class BoundedFraction:
    """`fraction` of `whole`, but at least `bytes_min` and at most `bytes_max`.

    Raises MemoryConfigurationError for a fraction outside [0, 1) and for bounds in the wrong order.
    """

    name: str
    whole: str
    fraction: float
    bytes_min: int
    bytes_max: int

    def __post_init__(self) -> None:
        if not 0 <= self.fraction < 1:
            raise MemoryConfigurationError(
                f"{self.name}_fraction is {self.fraction}: it must be at least 0 and less than 1"
            )
        if self.bytes_min > self.bytes_max:
            raise MemoryConfigurationError(
                f"{self.name}_min {format_size(self.bytes_min)} is more than "
                f"{self.name}_max {format_size(self.bytes_max)}: lower the one or raise the other"
            )

    def share_of(self, whole_bytes: int) -> MemoryComponent:
        """The share of `whole_bytes`."""
        return self._clamped(int(self._exact() * whole_bytes), f"{self._percent()} of {self.whole}")

    def share_beside(self, rest_bytes: int) -> MemoryComponent:
        """The share of a whole of which `rest_bytes` is everything else."""
        exact = self._exact()
        return self._clamped(
            int(exact / (1 - exact) * rest_bytes), f"{self._percent()} of {self.whole}, from the other parts"
        )

    def admits(self, size_bytes: int) -> bool:
        """Whether a size that came about otherwise lies between the bounds."""
        return self.bytes_min <= size_bytes <= self.bytes_max

    def _clamped(self, wanted_bytes: int, rule: str) -> MemoryComponent:
        if wanted_bytes < self.bytes_min:
            return MemoryComponent(self.name, self.bytes_min, f"{rule}, at least {format_size(self.bytes_min)}")
        if wanted_bytes > self.bytes_max:
            return MemoryComponent(self.name, self.bytes_max, f"{rule}, at most {format_size(self.bytes_max)}")
        return MemoryComponent(self.name, wanted_bytes, rule)

    def _exact(self) -> Fraction:
        return Fraction(str(self.fraction))  # 0.15 as it was written, so that no size is a byte off

    def _percent(self) -> str:
        return f"{float(self._exact() * 100):g}%"
