"""Pools: fair, bounded, and no buffer lost to time-outs or cancellation."""

import asyncio
import ctypes
import random
import threading

import pytest

from memory.errors import (
    BufferLeakError,
    MemoryBudgetError,
    MemoryShutdownError,
    PoolTimeoutError,
    SegmentReleasedError,
)
from memory.manager import MemoryManager
from memory.pool import BufferPool
from memory.sizes import KIB

BUFFER = 32 * KIB


@pytest.fixture(params=[False, True], ids=["lazy", "preallocated"])
def manager(request):
    manager = MemoryManager(10 * BUFFER, preallocate=request.param)
    yield manager
    assert manager.verify_empty()
    assert manager.shutdown() == {}


def make_pool(manager, required=2, maximum=2, buffer_bytes=BUFFER):
    return BufferPool(manager, "spill", buffer_bytes=buffer_bytes, required=required, maximum=maximum)


async def settle():
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


# ------------------------------------------------------------------------ growth


def test_required_buffers_are_taken_at_once(manager):
    with make_pool(manager, required=3, maximum=5) as pool:
        assert manager.holders() == {"spill": 3 * BUFFER}
        assert (pool.available, pool.in_use) == (3, 0)


def test_required_buffers_come_all_or_not_at_all(manager):
    with pytest.raises(MemoryBudgetError, match="'spill' asked for"):
        make_pool(manager, required=11, maximum=11)
    assert manager.verify_empty()


def test_growth_stops_at_the_maximum(manager):
    with make_pool(manager, required=1, maximum=3) as pool:
        buffers = [pool.try_acquire() for _ in range(3)]
        assert pool.try_acquire() is None
        assert manager.used_bytes == 3 * BUFFER
        assert (pool.available, pool.in_use) == (0, 3)
        for buffer in buffers:
            buffer.release()
        assert (pool.available, pool.in_use) == (3, 0)


def test_growth_stops_where_the_manager_has_no_room(manager):
    with manager.reserve("merge", 8 * BUFFER) as reservation, make_pool(manager, 1, 5) as pool:
        with pool.try_acquire(), pool.try_acquire():
            assert pool.try_acquire() is None
            reservation.shrink(BUFFER)
            with pool.try_acquire():
                assert pool.in_use == 3
        reservation.release()


def test_rounding_to_segments_is_not_wasted(manager):
    with make_pool(manager, required=1, maximum=7, buffer_bytes=4096) as pool:
        assert (pool.available, manager.used_bytes) == (7, BUFFER)


def test_buffers_are_aligned_and_apart(manager):
    with make_pool(manager, required=2, maximum=5, buffer_bytes=12 * KIB) as pool:
        buffers = [pool.try_acquire() for _ in range(5)]
        for number, buffer in enumerate(buffers):
            assert ctypes.addressof(ctypes.c_char.from_buffer(buffer.view)) % 4096 == 0
            buffer.view[:] = bytes([number]) * buffer.size_bytes
        for number, buffer in enumerate(buffers):
            assert bytes(buffer.view) == bytes([number]) * 12 * KIB
            buffer.release()


@pytest.mark.parametrize("buffer_bytes", [0, -4096, 1, 4095, 4097, 6000])
def test_buffers_are_whole_pages(manager, buffer_bytes):
    with pytest.raises(ValueError, match="multiple of 4096"):
        make_pool(manager, buffer_bytes=buffer_bytes)


@pytest.mark.parametrize(("required", "maximum"), [(0, 1), (0, 0), (2, 1), (-1, 3)])
def test_a_pool_needs_a_buffer(manager, required, maximum):
    with pytest.raises(ValueError, match="1 <= required <= maximum"):
        make_pool(manager, required, maximum)


# ----------------------------------------------------------------------- lending


def test_a_second_release_does_not_free_the_next_loan(manager):
    with make_pool(manager, 1, 1) as pool:
        first = pool.try_acquire()
        first.release()
        second = pool.try_acquire()
        first.release()
        assert pool.in_use == 1
        assert pool.try_acquire() is None
        with pytest.raises(SegmentReleasedError):
            first.view  # noqa: B018
        second.view[0] = 1
        second.release()


def test_waiters_are_served_in_the_order_of_asking(manager):
    async def scene():
        order = []

        async def ask(name):
            async with asyncio.timeout(5):
                with await pool.acquire():
                    order.append(name)

        with make_pool(manager, 1, 1) as pool:
            held = await pool.acquire()
            async with asyncio.TaskGroup() as group:
                for name in range(6):
                    group.create_task(ask(name))
                await settle()
                assert pool.try_acquire() is None
                held.release()
                assert pool.try_acquire() is None, "nobody overtakes those who wait"
            assert order == list(range(6))
            assert pool.in_use == 0

    asyncio.run(scene())


def test_a_release_also_serves_those_for_whom_the_manager_has_room_again(manager):
    async def scene():
        with manager.reserve("merge", 9 * BUFFER) as reservation, make_pool(manager, 1, 3) as pool:
            held = await pool.acquire()
            waiters = [asyncio.create_task(pool.acquire()) for _ in range(2)]
            await settle()
            reservation.shrink(BUFFER)
            held.release()
            for buffer in await asyncio.gather(*waiters):
                buffer.release()
            assert pool.available == 2

    asyncio.run(scene())


def test_whoever_finds_new_room_lets_those_who_wait_go_first(manager):
    async def scene():
        with manager.reserve("merge", 9 * BUFFER) as reservation, make_pool(manager, 1, 3) as pool:
            held = await pool.acquire()
            waiter = asyncio.create_task(pool.acquire())
            await settle()
            reservation.shrink(BUFFER)
            assert pool.try_acquire() is None
            (await waiter).release()
            held.release()

    asyncio.run(scene())


@pytest.mark.parametrize("timeout_seconds", [0, -1, 0.001])
def test_waiting_ends_and_says_who_holds_what(manager, timeout_seconds):
    async def scene():
        with manager.reserve("merge", 3), make_pool(manager, 2, 2) as pool:
            with await pool.acquire(), await pool.acquire():
                with pytest.raises(PoolTimeoutError) as late:
                    await pool.acquire(timeout_seconds=timeout_seconds)
                text = str(late.value)
                assert "'spill': 2 in use, 0 available, at most 2 of 32 KiB" in text
                assert "'merge' 3 bytes" in text
            assert pool.available == 2
            assert "0 waiting" in repr(pool)

    asyncio.run(scene())


def test_a_time_out_does_not_hold_up_the_others(manager):
    async def scene():
        with make_pool(manager, 1, 1) as pool:
            held = await pool.acquire()
            impatient = asyncio.create_task(pool.acquire(timeout_seconds=0.001))
            patient = asyncio.create_task(pool.acquire())
            with pytest.raises(PoolTimeoutError):
                await impatient
            held.release()
            (await patient).release()

    asyncio.run(scene())


# ------------------------------------------------------------------ cancellation


@pytest.mark.parametrize("moment", ["waiting", "served", "cancelled first"])
def test_a_cancelled_waiter_takes_no_buffer_with_it(manager, moment):
    async def scene():
        with make_pool(manager, 1, 1) as pool:
            held = await pool.acquire()
            cancelled, next_in_line = (asyncio.create_task(pool.acquire()) for _ in range(2))
            await settle()
            if moment == "served":
                held.release()  # the buffer is the waiter's now, but it has not run yet
            cancelled.cancel()
            if moment == "waiting":
                await settle()
            held.release()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            (await next_in_line).release()
            assert (pool.available, pool.in_use) == (1, 0)

    asyncio.run(scene())


def test_a_crowd_that_cancels_and_times_out_loses_nothing(manager):
    async def worker(pool, chance):
        for _ in range(30):
            try:
                async with asyncio.timeout(chance.choice([0, 0.0005, 5])):
                    with await pool.acquire(timeout_seconds=chance.choice([0, 0.0005, 5])) as buffer:
                        buffer.view[0] = 7
                        assert 1 <= pool.in_use <= 3
                        for _ in range(chance.randrange(3)):
                            await asyncio.sleep(0)
            except TimeoutError:
                continue

    async def scene(seed):
        chance = random.Random(seed)
        with make_pool(manager, 1, 3) as pool:
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                for _ in range(12):
                    group.create_task(worker(pool, chance))
            assert pool.in_use == 0
            assert pool.available <= 3

    for seed in range(5):
        print("seed", seed)
        asyncio.run(scene(seed))


# ----------------------------------------------------------------------- closing


def test_close_gives_all_memory_back_and_may_be_repeated(manager):
    pool = make_pool(manager, 1, 3)
    for buffer in [pool.try_acquire() for _ in range(3)]:
        buffer.release()
    pool.close()
    pool.close()
    assert manager.verify_empty()
    assert pool.closed
    with pytest.raises(MemoryShutdownError, match="'spill' is closed"):
        pool.try_acquire()
    with pytest.raises(MemoryShutdownError):
        asyncio.run(pool.acquire())


def test_buffers_that_did_not_come_home_are_counted_and_taken_back(manager):
    pool = make_pool(manager, 3, 3)
    lost = [pool.try_acquire(), pool.try_acquire()]
    view = lost[0].view
    with pytest.raises(BufferLeakError, match=r"2 of the buffers did not come home.*'spill'"):
        pool.close()
    pool.close()
    assert manager.verify_empty()
    for buffer in lost:
        buffer.release()
        with pytest.raises(SegmentReleasedError):
            buffer.view  # noqa: B018
    with pytest.raises(ValueError, match="released"):
        view[0]


def test_a_leak_does_not_hide_the_error_that_caused_it(manager):
    with pytest.raises(KeyError) as raised, make_pool(manager) as pool:
        pool.try_acquire()
        raise KeyError
    assert "did not come home" in raised.value.__notes__[0]


def test_a_leak_at_the_end_of_with_is_an_error(manager):
    with pytest.raises(BufferLeakError), make_pool(manager) as pool:
        pool.try_acquire()


def test_close_fails_those_who_wait(manager):
    async def scene():
        pool = make_pool(manager, 1, 1)
        held = await pool.acquire()
        waiters = [asyncio.create_task(pool.acquire()) for _ in range(3)]
        await settle()
        waiters[1].cancel()
        with pytest.raises(BufferLeakError, match="1 of"):
            pool.close()
        outcomes = await asyncio.gather(*waiters, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [
            MemoryShutdownError,
            asyncio.CancelledError,
            MemoryShutdownError,
        ]
        held.release()

    asyncio.run(scene())


def test_a_waiter_served_just_before_the_close_gets_no_dead_buffer(manager):
    async def scene():
        pool = make_pool(manager, 1, 1)
        held = await pool.acquire()
        waiter = asyncio.create_task(pool.acquire())
        await settle()
        held.release()
        with pytest.raises(BufferLeakError):
            pool.close()
        with pytest.raises(MemoryShutdownError):
            await waiter

    asyncio.run(scene())


def test_a_manager_shut_down_under_the_pool_is_noticed():
    async def scene():
        manager = MemoryManager(2 * BUFFER)
        pool = make_pool(manager, 1, 2)
        held = [await pool.acquire(), await pool.acquire()]
        waiter = asyncio.create_task(pool.acquire())
        await settle()
        manager.shutdown()
        for buffer in held:
            buffer.release()
        with pytest.raises(MemoryShutdownError):
            await waiter
        with pytest.raises(MemoryShutdownError):
            pool.try_acquire()
        pool.close()
        assert manager.verify_empty()

    asyncio.run(scene())


def test_close_works_while_arrays_look(manager):
    pool = make_pool(manager, 1, 1)
    buffer = pool.try_acquire()
    array = (ctypes.c_char * BUFFER).from_buffer(buffer.view)
    buffer.release()
    pool.close()
    assert manager.verify_empty()
    del array


def test_another_thread_is_caught(manager):
    caught = []
    with make_pool(manager) as pool, pool.try_acquire() as buffer:

        def release():
            try:
                buffer.release()
            except AssertionError as error:
                caught.append(error)

        thread = threading.Thread(target=release)
        thread.start()
        thread.join()
        assert "event loop" in str(caught[0])
        assert pool.in_use == 1
