"""Columns to rows and back: three kernels that follow a list of steps, row by row.

    find_rows     where the rows of a stretch of bytes begin and end, and where their keys do
    write_rows    columns -> rows
    read_fields   the key, or the value, of each row -> columns

What stands in a row is known once for all rows of a batch, so it is a table: a line of eight words for each step, with
the address of the step's column, which moves on as its values are written or read. A column holds only what is there:
behind a null nothing moves. Each step is looked up anew in every row. The processor learns the sequence after a few of
them, so that costs a nanosecond; and rows are written in one go, each byte once.

    step       words beside WHAT                          bytes in a row
    COPY       COLUMN, SIZE (bytes), STRIDE (write)       SIZE bytes as they are
    TEXT       COLUMN, ENDS, FORM, INVERTED, BASE (read)  a text: SIZED, OPEN or CLOSED (docs/ROW_FORMAT.md)
    INTEGER    COLUMN, ENDS and BASE (read), INVERTED     an unbounded int
    OPTION     COLUMN (nulls), MARKS, SKIP                a mark: MARKS, or MARKS >> 8 for null, which skips
    MASK       SIZE (1 to 8 bytes), STATE, MARKS (read)   a null mask; MARKS are bits of it that no field has
    FIELD      COLUMN (nulls), SIZE (bit), MARKS, SKIP    nothing: skips where the bit is set, of the MASK at MARKS
    REPEAT     COLUMN (counts), SKIP, STATE, FORM         a varint unless OPEN; all up to AGAIN as often as it says
    AGAIN      SKIP                                       nothing: back behind the REPEAT
    WHILE      COLUMN (counts), SKIP, STATE, MARKS (read) MARKS and all up to BACK, again and again; then MARKS >> 8
    BACK       SKIP (read)                                nothing: back to the WHILE
    KEY_END    (write)                                    nothing: a key ends here, and its length varies
    GIVEN      COLUMN (nulls), SKIP (read)                nothing: skips where a FIELD found a null
    CONSTANT   SIZE (the byte; read)                      a byte that must be there
    PASS       SIZE (bytes; read)                         bytes that nobody wants

SKIP is how many bytes of the table are jumped over. Counts and ends are 32-bit words, nulls are bytes. `ENDS` of a text
that is written: where each starts and ends, from `COLUMN` on; 0 if each has a zero byte behind it instead. Of a text
that is read: where each ends, from `BASE` on; it gets a zero byte behind it if FORM has SEPARATED.

Reading checks every length against the row's end, and stops at a row that is not what the steps say. No more is told
of it: the serializers, which take one value at a time, then say what is wrong. Columns, rows and targets need
`SLACK_BYTES` behind them.
"""

import numpy as np

from serializers.intrinsics import (
    copy_record,
    count_leading_zeros,
    count_trailing_zeros,
    load_big_endian,
    load_byte,
    load_half,
    load_word,
    match_mask,
    store_byte,
    store_half,
    store_word,
    swap_bytes,
)
from serializers.kernel_cache import helper, kernel
from serializers.row_bytes import (
    copy_to,
    read_bounded_varint,
    varint_bytes,
    write_closed,
    write_varint,
    zero_byte,
)

STEP_WORDS = 8
WHAT, COLUMN, SIZE, STRIDE, SKIP, STATE, BASE, INVERTED = (np.uint64(8 * word) for word in range(STEP_WORDS))
_STEP_BYTES = np.uint64(8 * STEP_WORDS)
FORM, ENDS, MARKS = SIZE, STRIDE, INVERTED

COPY, TEXT, INTEGER, OPTION, MASK, FIELD, REPEAT, AGAIN, KEY_END, WHILE, BACK, GIVEN, CONSTANT, PASS = (
    np.uint64(what) for what in range(14)
)
SIZED, OPEN, CLOSED = (np.uint64(form) for form in range(3))
"""A text with its length before it; one that ends where its region does; one that says where it ends, for keys."""
SEPARATED = np.uint64(4)

KEY_BYTES_VARY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)

_ZERO, _ONE, _TWO, _FOUR, _EIGHT, _WORD_BITS = (np.uint64(n) for n in (0, 1, 2, 4, 8, 64))
_BYTE = np.uint64(0xFF)
_FORM_BITS = np.uint64(3)
_ZERO_HEAD = np.uint64(0x80)
_LONG_HEAD = np.uint64(0xFF)


# --- parts of both directions


@helper
def jump_back(step):
    """At an AGAIN: which step is followed by the next, its REPEAT unless that was the last time."""
    repeat = step - load_word(step + SKIP)
    left = load_word(repeat + STATE) - _ONE
    store_word(repeat + STATE, left)
    return repeat if left else step


# --- writing


@helper
def next_text(step):
    """The next text of a column: (where it is, its length)."""
    source = load_word(step + COLUMN)
    ends = load_word(step + ENDS)
    if ends:
        start = load_half(ends)
        store_word(step + ENDS, ends + _FOUR)
        return source + start, load_half(ends + _FOUR) - start
    length = _ZERO
    mask = match_mask(source, np.uint8(0))
    while mask == _ZERO:
        length += _WORD_BITS
        mask = match_mask(source + length, np.uint8(0))
    length += count_trailing_zeros(mask)
    store_word(step + COLUMN, source + length + _ONE)
    return source, length


@helper
def write_integer(step, position):
    """Write the next integer of a column as an unbounded one: where it ends."""
    source = load_word(step + COLUMN)
    store_word(step + COLUMN, source + _EIGHT)
    inverted = load_word(step + INVERTED)
    value = load_word(source)
    sign = _ZERO - (value >> np.uint64(63))
    magnitude = (value ^ sign) - sign
    size = _EIGHT - (count_leading_zeros(magnitude) >> np.uint64(3))
    store_byte(position, (_ZERO_HEAD + ((size ^ sign) - sign)) ^ inverted)
    if size:
        leading = swap_bytes(magnitude << (_WORD_BITS - (size << np.uint64(3))))
        store_word(position + _ONE, leading ^ sign ^ inverted)
    return position + _ONE + size


@helper
def move_bytes(target, source, length):
    """Copy `length` bytes within a row, up or down by a few."""
    if target < source:
        copy_record(target, source, length)
        return
    while length >= _EIGHT:
        length -= _EIGHT
        store_word(target + length, load_word(source + length))
    while length:
        length -= _ONE
        store_byte(target + length, load_byte(source + length))


@kernel("uint64(uint64, uint64, boolean, uint64, uint64, uint32[::1])")
def write_rows(steps, steps_end, key_bytes_vary, data, size, ends):
    """Write `len(ends)` rows from `data + size` on, and where each ends, from `data` on: where the last ends.

    A row's length stands before it, and is known behind it: room is left for as many bytes as it took the last time,
    and a row that needs more or fewer is moved. The same goes for the length of the key.
    """
    position = data + size
    row_head = _ONE
    key_head = _ONE if key_bytes_vary else _ZERO
    for row in range(np.uint64(len(ends))):
        start = position
        position += row_head + key_head
        step = steps
        while step < steps_end:
            what = load_word(step + WHAT)
            if what == COPY:
                source = load_word(step + COLUMN)
                length = load_word(step + SIZE)
                copy_to(position, source, length)
                store_word(step + COLUMN, source + load_word(step + STRIDE))
                position += length
            elif what == TEXT:
                source, length = next_text(step)
                form = load_word(step + FORM)
                if form == CLOSED:
                    position = write_closed(position, source, length, load_word(step + INVERTED))
                else:
                    if form == SIZED:
                        position = write_varint(position, length)
                    copy_record(position, source, length)
                    position += length
            elif what == INTEGER:
                position = write_integer(step, position)
            elif what == OPTION:
                nulls = load_word(step + COLUMN)
                is_null = load_byte(nulls)
                store_word(step + COLUMN, nulls + _ONE)
                store_byte(position, load_word(step + MARKS) >> (is_null << np.uint64(3)))
                position += _ONE
                step += load_word(step + SKIP) * is_null
            elif what == MASK:
                store_word(step + STATE, position)
                length = load_word(step + SIZE)
                position += length
                while length:
                    length -= _ONE
                    store_byte(position - length - _ONE, _ZERO)
            elif what == FIELD:
                nulls = load_word(step + COLUMN)
                is_null = load_byte(nulls)
                store_word(step + COLUMN, nulls + _ONE)
                bit = load_word(step + SIZE)
                mask = load_word(load_word(step + MARKS) + STATE) + (bit >> np.uint64(3))
                store_byte(mask, load_byte(mask) | (is_null << (bit & np.uint64(7))))
                step += load_word(step + SKIP) * is_null
            elif what == REPEAT:
                counts = load_word(step + COLUMN)
                count = load_half(counts)
                store_word(step + COLUMN, counts + _FOUR)
                store_word(step + STATE, count)
                if load_word(step + FORM) != OPEN:
                    position = write_varint(position, count)
                if count == _ZERO:
                    step += load_word(step + SKIP)
            elif what == AGAIN:
                step = jump_back(step)
            else:  # KEY_END
                key = start + row_head + key_head
                length = position - key
                needed = varint_bytes(length)
                if needed != key_head:
                    move_bytes(key + needed - key_head, key, length)
                    position += needed - key_head
                    key_head = needed
                write_varint(start + row_head, length)
            step += _STEP_BYTES
        length = position - start - row_head
        needed = varint_bytes(length)
        if needed != row_head:
            move_bytes(start + needed, start + row_head, length)
            position += needed - row_head
            row_head = needed
        write_varint(start, length)
        ends[row] = np.uint32(position - data)
    return position - data


# --- reading


@kernel("Tuple((uint64, uint64))(uint64, uint64, uint64, uint64, uint64[:, ::1])")
def find_rows(start, end, enough, key_bytes, places):
    """Find rows from `start` on, until `places` is full or `enough` bytes are passed: (how many, where they end).

    Of each row: where its key begins, where that ends and the value begins, and where that ends. Stops at a row that
    does not end before `end`, or whose key does not end before the row does.
    """
    capacity = np.uint64(len(places))
    stop = min(end, start + enough)
    count = _ZERO
    while start < stop and count < capacity:
        length, key = read_bounded_varint(start, end)
        if key > end or length > end - key:
            break
        row_end = key + length
        key_length = key_bytes
        if key_bytes == KEY_BYTES_VARY:
            key_length, key = read_bounded_varint(key, row_end)
            if key > row_end:
                break
        if key_length > row_end - key:
            break
        places[count, _ZERO] = key
        places[count, _ONE] = key + key_length
        places[count, _TWO] = row_end
        count += _ONE
        start = row_end
    return count, start


@helper
def read_closed(position, limit, target, inverted):
    """Read what `write_closed` wrote: (where it ends, where its text ends); an end beyond `limit` if there is none."""
    while position + _ONE < limit:
        word = load_word(position) ^ inverted
        before_zero = zero_byte(word)
        store_word(target, word)
        position += before_zero
        target += before_zero
        if before_zero < _EIGHT:
            if position + _ONE >= limit:
                break
            follower = (load_byte(position + _ONE) ^ inverted) & _BYTE
            position += _TWO
            if follower == _ZERO:
                return position, target
            if follower != _BYTE:
                break
            target += _ONE
    return limit + _ONE, target


@helper
def read_text(step, position, limit):
    """Read a text into a column: where it ends, beyond `limit` if there is none."""
    target = load_word(step + COLUMN)
    form = load_word(step + FORM)
    if form & _FORM_BITS == CLOSED:
        position, target = read_closed(position, limit, target, load_word(step + INVERTED))
    else:
        length = limit - position
        if form & _FORM_BITS == SIZED:
            length, position = read_bounded_varint(position, limit)
            if position > limit or length > limit - position:
                return limit + _ONE
        copy_record(target, position, length)
        position += length
        target += length
    ends = load_word(step + ENDS)
    store_half(ends, target - load_word(step + BASE))
    store_word(step + ENDS, ends + _FOUR)
    if form & SEPARATED:
        store_byte(target, _ZERO)
        target += _ONE
    store_word(step + COLUMN, target)
    return position


@helper
def read_integer(step, position, limit):
    """Read an unbounded integer into a column of 64 bits: where it ends, beyond `limit` if there is none.

    The place of one that has more than 64 bits is put into the column instead, and its number to `ENDS`.
    """
    inverted = load_word(step + INVERTED)
    target = load_word(step + COLUMN)
    if position >= limit:
        return limit + _ONE
    head = (load_byte(position) ^ inverted) & _BYTE
    sign = _ZERO - _ONE if head < _ZERO_HEAD else _ZERO
    size = ((head - _ZERO_HEAD) ^ sign) - sign
    start = position
    position += _ONE
    value = sign
    if size <= _EIGHT:
        if size > limit - position:
            return limit + _ONE
        if size:
            magnitude = (load_big_endian(position) ^ inverted ^ sign) >> (_WORD_BITS - (size << np.uint64(3)))
            if magnitude >> ((size - _ONE) << np.uint64(3)) == _ZERO:
                return limit + _ONE
            value = (magnitude ^ sign) - sign
        else:
            value = _ZERO
    else:
        if (head != _ZERO and head != _LONG_HEAD) or limit - position < _FOUR:
            return limit + _ONE
        size = (load_big_endian(position) ^ inverted ^ sign) >> np.uint64(32)
        position += _FOUR
        if size <= _EIGHT or size > limit - position:
            return limit + _ONE
        if (load_byte(position) ^ inverted ^ sign) & _BYTE == _ZERO:
            return limit + _ONE
    is_wide = size > _EIGHT or (size == _EIGHT and (value ^ sign) >> np.uint64(63))
    if is_wide:
        wide = load_word(step + ENDS)
        store_half(wide, (target - load_word(step + BASE)) >> np.uint64(3))
        store_word(step + ENDS, wide + _FOUR)
        value = start
    store_word(target, value)
    store_word(step + COLUMN, target + _EIGHT)
    return position + size


@kernel("uint64(uint64, uint64, uint64[:, ::1], uint64, boolean)")
def read_fields(steps, steps_end, places, region, is_all):
    """Read what stands from `places[row, region]` to `places[row, region + 1]` in each row: how many rows were read.

    Fewer than all if the next is not what the steps say. Where reading ended takes the place of where it began, and is
    the end of the region if `is_all`.
    """
    row_count = np.uint64(len(places))
    for row in range(row_count):
        position = places[row, region]
        limit = places[row, region + _ONE]
        step = steps
        while step < steps_end:
            what = load_word(step + WHAT)
            if what == COPY:
                length = load_word(step + SIZE)
                if length > limit - position:
                    return row
                target = load_word(step + COLUMN)
                copy_to(target, position, length)
                store_word(step + COLUMN, target + length)
                position += length
            elif what == TEXT:
                position = read_text(step, position, limit)
                if position > limit:
                    return row
            elif what == INTEGER:
                position = read_integer(step, position, limit)
                if position > limit:
                    return row
            elif what == OPTION:
                if position >= limit:
                    return row
                mark = load_byte(position)
                marks = load_word(step + MARKS)
                is_null = _ONE if mark == marks >> _EIGHT else _ZERO
                if is_null == _ZERO and mark != marks & _BYTE:
                    return row
                target = load_word(step + COLUMN)
                store_byte(target, is_null)
                store_word(step + COLUMN, target + _ONE)
                position += _ONE
                step += load_word(step + SKIP) * is_null
            elif what == MASK:
                length = load_word(step + SIZE)
                if length > limit - position:
                    return row
                if load_word(position) & load_word(step + MARKS):
                    return row
                store_word(step + STATE, position)
                position += length
            elif what == FIELD:
                bit = load_word(step + SIZE)
                mask = load_byte(load_word(load_word(step + MARKS) + STATE) + (bit >> np.uint64(3)))
                is_null = (mask >> (bit & np.uint64(7))) & _ONE
                target = load_word(step + COLUMN)
                store_byte(target, is_null)
                store_word(step + COLUMN, target + _ONE)
                step += load_word(step + SKIP) * is_null
            elif what == REPEAT:
                count, position = read_bounded_varint(position, limit)
                if position > limit or count > limit - position:
                    return row
                target = load_word(step + COLUMN)
                store_half(target, count)
                store_word(step + COLUMN, target + _FOUR)
                store_word(step + STATE, count)
                if count == _ZERO:
                    step += load_word(step + SKIP)
            elif what == AGAIN:
                step = jump_back(step)
            elif what == WHILE:
                if position >= limit:
                    return row
                mark = load_byte(position)
                position += _ONE
                marks = load_word(step + MARKS)
                count = load_word(step + STATE)
                if mark == marks & _BYTE:
                    store_word(step + STATE, count + _ONE)
                elif mark == marks >> _EIGHT:
                    target = load_word(step + COLUMN)
                    store_half(target, count)
                    store_word(step + COLUMN, target + _FOUR)
                    store_word(step + STATE, _ZERO)
                    step += load_word(step + SKIP)
                else:
                    return row
            elif what == BACK:
                step -= load_word(step + SKIP)
            elif what == GIVEN:
                nulls = load_word(step + COLUMN)
                store_word(step + COLUMN, nulls + _ONE)
                step += load_word(step + SKIP) * load_byte(nulls)
            elif what == CONSTANT:
                if position >= limit or load_byte(position) != load_word(step + SIZE):
                    return row
                position += _ONE
            else:  # PASS
                length = load_word(step + SIZE)
                if length > limit - position:
                    return row
                position += length
            step += _STEP_BYTES
        if is_all and position != limit:
            return row
        places[row, region] = position
    return row_count
