"""Two sides in key order, group by group: which rows belong together.

A side is a list of groups, one line of three words each: address and length of its key, and its first row; behind the
last stands one more line, whose first row is the number of rows. What comes out are pairs of row numbers, left before
right; `NONE` stands where a row has no partner.
"""

import numpy as np

from serializers.kernel_cache import kernel
from serializers.keys import compare_keys, find_record_end, key_span

KEY, KEY_LENGTH, FIRST_ROW = range(3)
"""Words of a group."""

LEFT, LEFT_END, LEFT_ROW, RIGHT, RIGHT_END, RIGHT_ROW = range(6)
"""Words of the state: the group and the row to go on with, and behind which group to stop, of both sides."""

LEFT_SPANS, RIGHT_SPANS, LEFT_OVER, RIGHT_OVER, KEEP_LEFT, KEEP_RIGHT, ON_MATCH = range(6, 13)
"""Further words: whether the only group there is has its rows elsewhere; whether a side has ended; whether rows without
a partner come out; and what comes out of groups that match."""

STATE_WORDS = 13
NOTHING, PAIRS, LEFT_ONCE = range(3)
"""What comes out of groups that match: no row, every left row with every right row, or every left row once."""

FULL, LEFT_DRY, RIGHT_DRY, LEFT_ALONE, RIGHT_ALONE, MATCH = range(6)
"""Why pairing stopped: no room; a side has no more groups; a group with its rows elsewhere has no partner, or one."""

NONE = -1
_ZERO, _ONE = np.uint64(0), np.uint64(1)


@kernel("Tuple((uint64, uint64))(uint64, uint64, uint64, uint64[:, ::1])")
def list_groups(start, end, key_bytes, groups):
    """The groups of the rows in `start..end`, which are whole and in order: how many groups, and how many rows.

    `groups` has room for one group more than there are rows.
    """
    count, rows = _ZERO, _ZERO
    while start < end:
        row_end = find_record_end(start, end, _ZERO, key_bytes, _ZERO)
        key, length = key_span(start, row_end, _ZERO, _ZERO, key_bytes)
        if (
            count == _ZERO
            or compare_keys(groups[count - _ONE, KEY], groups[count - _ONE, KEY_LENGTH], key, length) != 0
        ):
            groups[count, KEY] = key
            groups[count, KEY_LENGTH] = length
            groups[count, FIRST_ROW] = rows
            count += _ONE
        rows += _ONE
        start = row_end
    groups[count, FIRST_ROW] = rows
    return count, rows


@kernel("Tuple((int64, uint64))(uint64[:, ::1], uint64[:, ::1], uint64[::1], int64[::1], int64[::1], uint64)")
def pair_groups(left, right, state, left_rows, right_rows, room):
    """Write at most `room` pairs: (why it stopped, how many). Called again, it goes on where it stopped.

    One side at least has not ended.
    """
    count = _ZERO
    while True:
        first, other = state[LEFT], state[RIGHT]
        left_ends, right_ends = first == state[LEFT_END], other == state[RIGHT_END]
        if left_ends and state[LEFT_OVER] == _ZERO:
            return LEFT_DRY, count
        if right_ends and state[RIGHT_OVER] == _ZERO:
            return RIGHT_DRY, count
        if left_ends:
            order = 1
        elif right_ends:
            order = -1
        else:
            order = compare_keys(left[first, KEY], left[first, KEY_LENGTH], right[other, KEY], right[other, KEY_LENGTH])
        if order < 0:
            if state[LEFT_SPANS]:
                return LEFT_ALONE, count
            if state[KEEP_LEFT]:
                while state[LEFT_ROW] < left[first + _ONE, FIRST_ROW]:
                    if count == room:
                        return FULL, count
                    left_rows[count] = np.int64(state[LEFT_ROW])
                    right_rows[count] = NONE
                    state[LEFT_ROW] += _ONE
                    count += _ONE
        elif order > 0:
            if state[RIGHT_SPANS]:
                return RIGHT_ALONE, count
            if state[KEEP_RIGHT]:
                while state[RIGHT_ROW] < right[other + _ONE, FIRST_ROW]:
                    if count == room:
                        return FULL, count
                    left_rows[count] = NONE
                    right_rows[count] = np.int64(state[RIGHT_ROW])
                    state[RIGHT_ROW] += _ONE
                    count += _ONE
        else:
            if state[LEFT_SPANS] or state[RIGHT_SPANS]:
                return MATCH, count
            if state[ON_MATCH] != NOTHING:
                right_row, right_end = state[RIGHT_ROW], right[other + _ONE, FIRST_ROW]
                while state[LEFT_ROW] < left[first + _ONE, FIRST_ROW]:
                    if state[ON_MATCH] == LEFT_ONCE:
                        right_row = right_end - _ONE
                    while right_row < right_end:
                        if count == room:
                            state[RIGHT_ROW] = right_row
                            return FULL, count
                        left_rows[count] = np.int64(state[LEFT_ROW])
                        right_rows[count] = np.int64(right_row)
                        right_row += _ONE
                        count += _ONE
                    right_row = right[other, FIRST_ROW]
                    state[LEFT_ROW] += _ONE
        if order <= 0:
            state[LEFT] = first + _ONE
            state[LEFT_ROW] = left[first + _ONE, FIRST_ROW]
        if order >= 0:
            state[RIGHT] = other + _ONE
            state[RIGHT_ROW] = right[other + _ONE, FIRST_ROW]
