"""What the order key of a shuffled row is made of: partition number, group key, sort key.

    ┌──────────────────┬───────────────────────┬──────────┐
    │ partition number │ group key             │ sort key │
    └──────────────────┴───────────────────────┴──────────┘
      0, 2 or 4 bytes,   closed if there is a
      big-endian         sort key and group
                         keys vary in length

A closed key has every 00 written as 00 FF, and ends with 00 00: so where it ends can be seen without knowing its type,
and rows are in order by group first, then by sort key.
"""

from dataclasses import dataclass

from serializers import RecordLayout, rows

PARTITIONS_MAX = 1 << 32
"""What 4 bytes can number."""


@dataclass(frozen=True)
class KeyShape:
    """Lengths of the parts of a key, in bytes; None where they vary. `sort_bytes` 0: there is no sort key."""

    partition_bytes: int
    group_bytes: int | None
    sort_bytes: int | None

    def __post_init__(self) -> None:
        assert self.partition_bytes in (0, 2, 4), self.partition_bytes
        assert self.group_bytes is None or self.group_bytes >= 0, self.group_bytes
        assert self.sort_bytes is None or self.sort_bytes >= 0, self.sort_bytes

    @property
    def has_sort_key(self) -> bool:
        """Whether the values of a group have an order of their own."""
        return self.sort_bytes != 0

    @property
    def closes_group(self) -> bool:
        """Whether the group key is closed, because only then can its end be found."""
        return self.has_sort_key and self.group_bytes is None

    @property
    def key_bytes(self) -> int | None:
        """Of the whole order key; None if it varies."""
        if self.group_bytes is None or self.sort_bytes is None:
            return None
        return self.partition_bytes + self.group_bytes + self.sort_bytes

    @property
    def layout(self) -> RecordLayout:
        """Of rows with such keys."""
        return rows(self.key_bytes)


def partition_bytes_of(partitions: int) -> int:
    """How many bytes a partition number takes: none where there is only one partition."""
    assert 1 <= partitions <= PARTITIONS_MAX, partitions
    if partitions == 1:
        return 0
    return 2 if partitions <= 1 << 16 else 4
