"""Pieces dealt with by another thread: all of them, in order, and no error is lost."""

import threading

import pytest

from shuffle.one_behind import OneBehind


def test_every_piece_in_order_by_another_thread() -> None:
    seen: list[tuple[int, bool]] = []
    with OneBehind(
        lambda piece: seen.append((piece, threading.current_thread() is threading.main_thread())), name="x"
    ) as behind:
        for piece in range(100):
            behind.put(piece)
    assert seen == [(piece, False) for piece in range(100)]


def fail_at(wanted: int, seen: list[int]) -> None:
    def work(piece: int) -> None:
        seen.append(piece)
        if piece == wanted:
            raise OSError(f"piece {piece}")

    with OneBehind(work, name="x") as behind:
        for piece in range(3):
            behind.put(piece)


@pytest.mark.parametrize("wanted", range(3))
def test_an_error_reaches_who_puts_next_or_leaves(wanted: int) -> None:
    seen: list[int] = []
    with pytest.raises(OSError, match=f"piece {wanted}"):
        fail_at(wanted, seen)
    assert seen == list(range(wanted + 1))


def test_the_error_of_the_caller_comes_first_and_the_thread_ends() -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), OneBehind(lambda piece: 1 / 0, name="x") as behind:
        behind.put(1)
        raise KeyError("the caller's")
    assert threading.active_count() == before
