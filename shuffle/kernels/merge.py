"""A loser tree over the runs of one range of keys.

    runs[:, r]     where run r stands in its block: next record, its end, the block's end, its key word
    tree[:, n]     at every inner node the run that lost there, and its word: a replay reads no run but the winner's

Equal words are settled by the whole keys, equal keys by the number of the run, so ties keep input order. Two things
make order in the data cheap: a record equal to the one before it in its run wins again without a replay, and a block
that ends below every other head is copied whole.

The kernel runs until it needs the world, then says why: the output is full, a run's block is used up, a record that
spans blocks is next, a run is not in order, or every run has ended.
"""

import numpy as np

from serializers.intrinsics import copy_bytes, copy_record, count_ones, match_mask
from serializers.kernel_cache import helper, kernel
from serializers.keys import compare_keys, find_record_end, key_span, key_word

# Rows of `runs`. A cursor of 0 means that the run has ended; LAST is the record before the cursor, 0 if unknown.
CURSOR, RECORD_END, BLOCK_END, HEAD, BOUND, SPAN_RANK, LAST = range(7)
RUN_ROWS = 7

# Rows of `tree`.
LOSER, WORD = range(2)
TREE_ROWS = 2

# Entries of `layout`.
RECORD_BYTES, KEY_OFFSET, KEY_BYTES, SKIP, INVERTED, DELIMITER, UNIQUE = range(7)
LAYOUT_ENTRIES = 7

# Entries of `state`. KEPT and KEPT_END are the last record written, where `UNIQUE` can compare with it.
WINNER, REFILLED, STREAK, RECORDS, DROPPED, LIMIT, KEPT, KEPT_END = range(8)
STATE_ENTRIES = 8
NO_RUN = 0xFFFF_FFFF

# Why the kernel stopped.
FULL, DRY, SPANNING, DISORDER, DONE = range(5)

GALLOP_STREAK = 4
"""Wins in a row after which a whole block is tried: rare on random keys, soon met on ordered ones."""

_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_ONE = np.uint64(1)
_NO_RUN = np.uint64(NO_RUN)


@helper
def head_key(runs, layout, run):
    """Address and length of the key at the head of a run."""
    start, end = runs[CURSOR, run], runs[RECORD_END, run]
    return key_span(start, end, layout[RECORD_BYTES], layout[KEY_OFFSET], layout[KEY_BYTES])


@helper
def head_word(runs, layout, run):
    """The key word at the head of a run, past what all keys share."""
    key, length = head_key(runs, layout, run)
    return key_word(key + layout[SKIP], length - layout[SKIP]) ^ layout[INVERTED]


@helper
def next_record_end(layout, start, block_end):
    """Where the record at `start` ends, delimiter included."""
    return find_record_end(start, block_end, layout[RECORD_BYTES], layout[KEY_BYTES], layout[DELIMITER])


@helper
def read_head(runs, layout, run):
    """Find the record at the run's cursor; an ended run stands behind every other."""
    if runs[CURSOR, run] == np.uint64(0):
        runs[HEAD, run] = _ONES
        return
    if runs[SPAN_RANK, run]:
        runs[RECORD_END, run] = runs[BLOCK_END, run]
        if not layout[KEY_BYTES]:
            runs[RECORD_END, run] += _ONE  # as if a delimiter followed: all of a line is key
    else:
        runs[RECORD_END, run] = next_record_end(layout, runs[CURSOR, run], runs[BLOCK_END, run])
    runs[HEAD, run] = head_word(runs, layout, run)


@helper
def settle(runs, layout, left, right):
    """Whether run `left` goes before run `right`, whose words are equal."""
    if runs[CURSOR, left] == np.uint64(0):
        return False
    if runs[CURSOR, right] == np.uint64(0):
        return True
    if runs[SPAN_RANK, left] and runs[SPAN_RANK, right]:
        return runs[SPAN_RANK, left] < runs[SPAN_RANK, right]
    left_key, left_length = head_key(runs, layout, left)
    right_key, right_length = head_key(runs, layout, right)
    order = compare_keys(left_key, left_length, right_key, right_length)
    if order == 0:
        return left < right
    return (order < 0) == (layout[INVERTED] == np.uint64(0))


@helper
def goes_before(runs, layout, left, left_word, right, right_word):
    """Whether run `left` goes before run `right`."""
    if left_word == right_word:
        return settle(runs, layout, left, right)
    return left_word < right_word


@helper
def replay(runs, tree, layout, run):
    """Play a run with a new head up the tree: the run that wins."""
    word = runs[HEAD, run]
    node = (run + np.uint64(runs.shape[1])) >> _ONE
    while node:
        other, other_word = tree[LOSER, node], tree[WORD, node]
        other_wins = other_word < word
        if other_word == word:
            other_wins = settle(runs, layout, other, run)
        tree[LOSER, node] = run if other_wins else other
        tree[WORD, node] = word if other_wins else other_word
        run = other if other_wins else run
        word = other_word if other_wins else word
        node >>= _ONE
    return run


@helper
def build(runs, tree, layout):
    """Play every run from the leaves up: the run that wins all. Nodes wait for their second player."""
    count = np.uint64(runs.shape[1])
    for node in range(count):
        tree[LOSER, node] = _NO_RUN
    winner = np.uint64(0)
    for leaf in range(count):
        read_head(runs, layout, leaf)
        run, word = leaf, runs[HEAD, leaf]
        node = (leaf + count) >> _ONE
        while node:
            other, other_word = tree[LOSER, node], tree[WORD, node]
            if other == _NO_RUN:
                tree[LOSER, node], tree[WORD, node] = run, word
                break
            if goes_before(runs, layout, other, other_word, run, word):
                tree[LOSER, node], tree[WORD, node] = run, word
                run, word = other, other_word
            node >>= _ONE
        if node == np.uint64(0):
            winner = run
    return winner


@helper
def next_best_word(runs, tree, run):
    """The least word among the runs that lost to the winner."""
    best = _ONES
    node = (run + np.uint64(runs.shape[1])) >> _ONE
    while node:
        best = min(best, tree[WORD, node])
        node >>= _ONE
    return best


@helper
def count_records(layout, start, end):
    """Records in the bytes between two addresses."""
    if layout[RECORD_BYTES]:
        return (end - start) // layout[RECORD_BYTES]
    count = np.uint64(0)
    if layout[KEY_BYTES]:
        while start < end:
            start = next_record_end(layout, start, end)
            count += _ONE
        return count
    while start + np.uint64(64) <= end:
        count += count_ones(match_mask(start, np.uint8(layout[DELIMITER])))
        start += np.uint64(64)
    if start < end:
        mask = match_mask(start, np.uint8(layout[DELIMITER]))
        count += count_ones(mask & ((_ONE << (end - start)) - _ONE))
    return count


@helper
def repeats_last(runs, layout, state, run):
    """Whether the head of a run has the key of the last record written."""
    if state[KEPT] == np.uint64(0):
        return False
    key, length = head_key(runs, layout, run)
    last_key, last_length = key_span(
        state[KEPT], state[KEPT_END], layout[RECORD_BYTES], layout[KEY_OFFSET], layout[KEY_BYTES]
    )
    return compare_keys(last_key, last_length, key, length) == 0


@helper
def order_after_last(runs, layout, run, start, end):
    """How the head of a run compares with the record `start..end` before it: -1 is out of order."""
    key, length = head_key(runs, layout, run)
    last_key, last_length = key_span(start, end, layout[RECORD_BYTES], layout[KEY_OFFSET], layout[KEY_BYTES])
    order = compare_keys(key, length, last_key, last_length)
    return -order if layout[INVERTED] else order


@kernel("Tuple((int64, uint64, uint64))(uint64[:, ::1], uint64[:, ::1], uint64[::1], uint64[::1], uint64, uint64)")
def merge_until(runs, tree, layout, state, target, target_end):
    """Copy records in order from `target` on: (why it stopped, the run concerned, where the output ends).

    The caller puts a new block under a run that went dry (or a cursor of 0), names it in `state[REFILLED]`, and calls
    again. `target_end` leaves the slack that vectors need behind it.
    """
    if state[WINNER] == _NO_RUN:
        state[WINNER] = build(runs, tree, layout)
    elif state[REFILLED] != _NO_RUN:
        read_head(runs, layout, state[REFILLED])
        state[WINNER] = replay(runs, tree, layout, state[REFILLED])
    state[REFILLED] = _NO_RUN
    run = state[WINNER]
    streak = state[STREAK]
    records = state[RECORDS]
    unique = layout[UNIQUE] != np.uint64(0)
    may_gallop = not unique and state[LIMIT] == _ONES
    stop = DONE
    while runs[CURSOR, run] and records < state[LIMIT]:
        if runs[SPAN_RANK, run]:
            stop = SPANNING
            break
        start, end, block_end = runs[CURSOR, run], runs[RECORD_END, run], runs[BLOCK_END, run]
        gallops = may_gallop and streak >= np.uint64(GALLOP_STREAK) and target + (block_end - start) <= target_end
        if gallops and runs[BOUND, run] < next_best_word(runs, tree, run):
            copy_bytes(target, start, block_end - start)
            target += block_end - start
            records += count_records(layout, start, block_end)
            runs[CURSOR, run], runs[LAST, run] = block_end, np.uint64(0)
            stop = DRY
            break
        if unique and repeats_last(runs, layout, state, run):
            state[DROPPED] += _ONE
        else:
            if target + (end - start) > target_end:
                stop = FULL
                break
            copy_record(target, start, end - start)
            state[KEPT], state[KEPT_END] = target, target + (end - start)
            target += end - start
            records += _ONE
        runs[CURSOR, run], runs[LAST, run] = end, start
        if end >= block_end:
            stop = DRY
            break
        word = runs[HEAD, run]
        runs[RECORD_END, run] = next_record_end(layout, end, block_end)
        new_word = head_word(runs, layout, run)
        if new_word <= word:
            order = order_after_last(runs, layout, run, start, end)
            if order == 0:
                streak += _ONE
                continue
            if order < 0:
                stop = DISORDER
                break
        runs[HEAD, run] = new_word
        winner = replay(runs, tree, layout, run)
        streak = streak + _ONE if winner == run else np.uint64(0)
        run = winner
    state[WINNER], state[STREAK], state[RECORDS] = run, streak, records
    return stop, run, target
