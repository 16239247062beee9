"""Which way a run goes to disk."""

from io_manager.write_path import CACHE_SHARE, SIDE_BY_SIDE, TRY_OTHER_EVERY, WritePath

MIB = 1 << 20


def choices(path: WritePath, count: int) -> list[bool]:
    return [path.choose_direct(spilled_bytes=0, expected_bytes=MIB) for _ in range(count)]


def measured(cached: float, direct: float) -> WritePath:
    path = WritePath(memory_free_bytes=1 << 40)
    path.note_write(direct=False, size_bytes=MIB, seconds=cached)
    path.note_write(direct=True, size_bytes=MIB, seconds=direct)
    return path


def test_first_one_run_each_way() -> None:
    path = WritePath(memory_free_bytes=1 << 40)
    assert choices(path, 2) == [False, False], "nothing is known until a block was written"
    path.note_write(direct=False, size_bytes=MIB, seconds=0.001)
    assert choices(path, 1) == [True]


def test_then_the_quicker_way_and_the_other_once_in_a_while() -> None:
    for cached, direct in ((0.2, 1.8), (2.5, 0.4), (1.0, 0.9 * SIDE_BY_SIDE), (1.0, 1.1 * SIDE_BY_SIDE)):
        taken = choices(measured(cached, direct), 4 * TRY_OTHER_EVERY)
        quicker = direct < cached * SIDE_BY_SIDE
        assert taken.count(not quicker) == 4, taken
        assert taken[TRY_OTHER_EVERY - 1] is not quicker


def test_it_changes_its_mind() -> None:
    path = measured(cached=0.2, direct=1.8)
    for _ in range(100):
        path.note_write(direct=False, size_bytes=MIB, seconds=9.0)
    assert choices(path, 3) == [True] * 3


def test_the_cache_is_never_filled() -> None:
    path = WritePath(memory_free_bytes=CACHE_SHARE * 10 * MIB)
    assert not path.choose_direct(spilled_bytes=9 * MIB, expected_bytes=MIB)
    assert path.choose_direct(spilled_bytes=9 * MIB, expected_bytes=MIB + 1)
    assert path.choose_direct(spilled_bytes=10 * MIB, expected_bytes=1)
