"""Values kept to be read again: in memory while they are few, on disk when they are many."""

from collections.abc import Iterator

import pytest

from serializers.types import type_info_of
from shuffle.operators import value_store
from shuffle.operators.value_store import ValueStore
from shuffle.options import SortOptions
from tests import tiny

STR = type_info_of(str)


def texts(count: int) -> Iterator[str]:
    """Not in the order of their bytes."""
    return (f"{n * 7919 % count} text" for n in range(count))


@pytest.mark.parametrize("count", [0, 1, 300, 20_000])
def test_in_the_order_in_which_they_came(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_store, "KEPT_BYTES", 50_000)
    with tiny.machine(managed_bytes=64 << 10) as machine:
        store = ValueStore(STR, SortOptions(temp_dirs=[str(machine.temp_dir)]))
        kept = store.keep(texts(count))
        for _ in range(3):
            assert list(kept) == list(texts(count))
        assert bool(machine.left_behind()) == bool(store.groups_spilled) == (count == 20_000)
        again = store.keep(texts(5))
        assert machine.left_behind() == [] and list(again) == list(texts(5))
        listed = ["a", "b"]
        assert store.keep(listed) is listed
        store.close()
        store.close()


def test_what_cannot_be_kept_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_store, "KEPT_BYTES", 1000)

    def failing() -> Iterator[str]:
        yield from texts(5000)
        raise KeyError("half way")

    with tiny.machine(managed_bytes=64 << 10) as machine:
        store = ValueStore(STR, SortOptions(temp_dirs=[str(machine.temp_dir)]))
        with pytest.raises(KeyError):
            store.keep(failing())
        store.close()
        assert machine.left_behind() == []
