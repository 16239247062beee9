"""Aggregates of groups as states of a fixed length: values added to them, two of them merged, results read from them.

A state is a few native words at an address. What stands in it is known once for all groups, so it is a table, the
*program*: a line of eight words for each part of a state.

    word       means
    WHAT       which part: see below
    OFFSET     where it stands in a state, in bytes
    COLUMN     address of the first value, 8 bytes each; the next stands STRIDE bytes behind it
    NULLS      address of a byte for each value, not zero where there is none; 0 if there is every value
    KIND       what the 8 bytes are: SIGNED, UNSIGNED or FLOAT
    FIRST      number of the first record, for parts that ask which record came first
    NUMBERS    address of a word for each record, its number; 0 if they are counted from FIRST

    part       words
    ROWS       1     how many records
    VALUES     1     how many values that are not null
    INTEGERS   2     their sum as a 128-bit integer; the upper word is NOTHING before the first
    FLOATS     5     their sum, below
    LEAST      2     the least as a word that compares as the values do; 1 if there is one
    GREATEST   2     the same
    EARLIEST   2     number of the record of the first value, all ones before there is one; its bytes
    LATEST     2     1 + number of the record of the last value, 0 before there is one; its bytes
    SQUARES    3     the sum of the squares of integers, 192 bits
    FSQUARES   9     the sum of the squares of floats, below

A sum of floats is an integer in units of 2^-1074, in slots of 32 bits, of which the uppermost four that any value can
reach are kept (J. Demmel, Y. Hida: Fast and accurate floating point summation, 2004; the grid makes it independent of
the order). A value has bits in three neighbouring slots, `low` to `low + 2` where `low` is its exponent / 32. Slots are
64-bit sums without carries, so what falls below the kept slots is left out value by value, and the same is left out in
any order and however states are merged: at most 2^-84 of the largest magnitude for each value. Slot i stands in word
i mod 4, so nothing moves when a larger value comes; the word before them tells the uppermost slot. Squares are the same
in units of 2^-2148, with bits in five neighbouring slots of which the uppermost eight are kept.

      63       52        40        28       16   10   9    8    7  6        0
    | carry of slot 3 |  ... 2 | ... 1 | ... 0 |  | -inf +inf NaN | uppermost |    0 there: no value yet

A carry is worth 2^61, and is signed. `settle_states` moves what is above 2^61 to it, and must be called at least every
`SETTLE_VALUES` values; merging does the same. So 2^40 values of a group can be added. The first word of a sum of
squares has the uppermost slot in 8 bits, then a bit for what is not finite, and from bit 16 on eight carries of 6 bits,
worth 2^62 each: room for 2^34 values.
"""

import numpy as np

from serializers.intrinsics import count_leading_zeros, load_byte, load_word, multiply_high, store_word
from serializers.kernel_cache import helper, kernel

PROGRAM_WORDS = 8
WHAT, OFFSET, COLUMN, NULLS, STRIDE, KIND, FIRST, NUMBERS = range(8)

ROWS, VALUES, INTEGERS, FLOATS, LEAST, GREATEST, EARLIEST, LATEST, SQUARES, FSQUARES = range(10)
PART_WORDS = (1, 1, 2, 5, 2, 2, 2, 2, 3, 9)
SIGNED, UNSIGNED, FLOAT = range(3)

NOTHING = 1 << 63
SETTLE_VALUES = 1 << 29
DIGITS = 96
"""Words of scratch for `finish_floats` and `finish_variances`."""

_ZERO, _ONE, _TWO, _THREE, _FOUR, _SEVEN, _EIGHT = (np.uint64(n) for n in (0, 1, 2, 3, 4, 7, 8))
_SIGN = np.uint64(1 << 63)
_LOW32 = np.uint64(0xFFFF_FFFF)
_32, _63 = np.uint64(32), np.uint64(63)
_EXPONENT_MAX = np.uint64(0x7FF)
_MANTISSA_BITS = np.uint64(52)
_HIDDEN = np.uint64(1 << 52)
_FRACTION = np.uint64((1 << 52) - 1)
_INFINITY = np.uint64(0x7FF << 52)
_QUIET_NAN = np.uint64(0x7FF8 << 48)
_NAN, _PLUS, _MINUS = np.uint64(1 << 7), np.uint64(1 << 8), np.uint64(1 << 9)
_SPECIAL = np.uint64(7 << 7)
_UPPERMOST = np.uint64(0x7F)
_UPPERMOST_SQUARES = np.uint64(0xFF)
_SQUARES_ODD = np.uint64(1 << 8)
_SQUARE_CARRY_BITS = np.uint64(6)
_SQUARE_CARRY_MASK = np.uint64(0x3F)
_SQUARE_KEPT_BITS = np.uint64(62)
_SQUARE_KEPT_MASK = np.uint64((1 << 62) - 1)
_CARRY_AT = np.uint64(16)
_CARRY_BITS = np.uint64(12)
_CARRY_MASK = np.uint64(0xFFF)
_KEPT_BITS = np.int64(61)
_KEPT_MASK = np.int64((1 << 61) - 1)
_SHORT_TOP = np.int64(1 << 30)


# --- sums of floats


@helper
def float_parts(bits):
    """(mantissa, exponent from 0 on) of a finite float: its magnitude is mantissa * 2^(exponent - 1074)."""
    exponent = (bits >> _MANTISSA_BITS) & _EXPONENT_MAX
    mantissa = bits & _FRACTION
    if exponent:
        return mantissa | _HIDDEN, exponent - _ONE
    return mantissa, exponent


@helper
def carry_of(head, place):
    """The carry of the slot in word `place`, signed."""
    raw = (head >> (_CARRY_AT + place * _CARRY_BITS)) & _CARRY_MASK
    return np.int64(raw ^ np.uint64(0x800)) - np.int64(0x800)


@helper
def without_carry(head, place):
    """The head with a carry of zero for the slot in word `place`."""
    return head & ~(_CARRY_MASK << (_CARRY_AT + place * _CARRY_BITS))


@helper
def raise_window(state, head, uppermost):
    """Let `uppermost` be the uppermost slot, which is above what it was: the new head."""
    slot = head & _UPPERMOST
    if slot == _ZERO:
        return head | uppermost
    head = (head & ~_UPPERMOST) | uppermost
    slot = max(slot, uppermost - min(uppermost, _FOUR))
    while slot < uppermost:
        slot += _ONE
        store_word(state + _EIGHT + ((slot & _THREE) << _THREE), _ZERO)
        head = without_carry(head, slot & _THREE)
    return head


@helper
def add_to_slot(state, slot, signed):
    """Add to one slot of a sum of floats."""
    address = state + _EIGHT + ((slot & _THREE) << _THREE)
    store_word(address, load_word(address) + signed)


@helper
def special_flag(bits):
    """The flag of a float that is not finite."""
    if bits & _FRACTION:
        return _NAN
    return _MINUS if bits & _SIGN else _PLUS


@helper
def three_digits(mantissa, exponent, bits):
    """A finite float as signed digits of 32 bits, the highest last: for slots `exponent >> 5` and the two above."""
    shift, sign = exponent & np.uint64(31), _ZERO - (bits >> _63)
    signed = (mantissa ^ sign) - sign
    shifted = signed << shift
    return shifted & _LOW32, shifted >> _32, np.uint64((np.int64(signed) >> np.int64(1)) >> np.int64(_63 - shift))


@helper
def add_far_float(state, bits):
    """Add a float that is not finite, or whose digits are not all in the window of a sum of floats."""
    if (bits & _INFINITY) == _INFINITY:
        store_word(state, load_word(state) | special_flag(bits))
        return
    mantissa, exponent = float_parts(bits)
    uppermost = (exponent >> np.uint64(5)) + _TWO
    head = load_word(state)
    kept = head & _UPPERMOST
    if kept < uppermost:
        store_word(state, raise_window(state, head, uppermost))
        kept = uppermost
    first, second, third = three_digits(mantissa, exponent, bits)
    above = kept - uppermost
    if above <= _ONE:
        add_to_slot(state, uppermost - _TWO, first)
    if above <= _TWO:
        add_to_slot(state, uppermost - _ONE, second)
    if above <= _THREE:
        add_to_slot(state, uppermost, third)


@helper
def add_float(state, bits):
    """Add a float to a sum of floats. Nearly always its window has room: so that is inlined, and the rest is called."""
    mantissa, exponent = float_parts(bits)
    low = exponent >> np.uint64(5)
    above = (load_word(state) & _UPPERMOST) - (low + _TWO)
    if above <= _ONE and (bits & _INFINITY) != _INFINITY:
        first, second, third = three_digits(mantissa, exponent, bits)
        add_to_slot(state, low, first)
        add_to_slot(state, low + _ONE, second)
        add_to_slot(state, low + _TWO, third)
    else:
        add_far_float(state, bits)


@helper
def merge_floats(target, source):
    """Add one sum of floats to another; both slots and carries are settled."""
    head, other = load_word(target), load_word(source)
    uppermost, other_uppermost = head & _UPPERMOST, other & _UPPERMOST
    head |= other & _SPECIAL
    if uppermost < other_uppermost:
        head = raise_window(target, head, other_uppermost)
        uppermost = other_uppermost
    for below in range(_FOUR):
        slot = uppermost - below
        place = slot & _THREE
        address = target + _EIGHT + (place << _THREE)
        low, carry = np.int64(load_word(address)), carry_of(head, place)
        carry += low >> _KEPT_BITS
        low &= _KEPT_MASK
        if other_uppermost and slot <= other_uppermost and slot + _THREE >= other_uppermost:
            added = np.int64(load_word(source + _EIGHT + (place << _THREE)))
            carry += carry_of(other, place) + (added >> _KEPT_BITS)
            low += added & _KEPT_MASK
            carry += low >> _KEPT_BITS
            low &= _KEPT_MASK
        store_word(address, np.uint64(low))
        raw = (np.uint64(carry) & _CARRY_MASK) << (_CARRY_AT + place * _CARRY_BITS)
        head = without_carry(head, place) | raw
    store_word(target, head)


@helper
def settle_floats(state):
    """Move what is above 2^61 in each slot to its carry."""
    head = load_word(state)
    for place in range(_FOUR):
        address = state + _EIGHT + (place << _THREE)
        low = np.int64(load_word(address))
        carry = carry_of(head, place) + (low >> _KEPT_BITS)
        store_word(address, np.uint64(low & _KEPT_MASK))
        raw = (np.uint64(carry) & _CARRY_MASK) << (_CARRY_AT + place * _CARRY_BITS)
        head = without_carry(head, place) | raw
    store_word(state, head)


# --- sums of squares of floats


@helper
def square_carry_of(head, place):
    """The carry of the slot in word `place`."""
    return (head >> (_CARRY_AT + place * _SQUARE_CARRY_BITS)) & _SQUARE_CARRY_MASK


@helper
def with_square_carry(head, place, carry):
    """The head with another carry for the slot in word `place`."""
    shift = _CARRY_AT + place * _SQUARE_CARRY_BITS
    return (head & ~(_SQUARE_CARRY_MASK << shift)) | (carry << shift)


@helper
def raise_squares(state, head, uppermost):
    """Let `uppermost` be the uppermost slot of a sum of squares, which is above what it was: the new head."""
    slot = head & _UPPERMOST_SQUARES
    head = (head & ~_UPPERMOST_SQUARES) | uppermost
    if slot:
        slot = max(slot, uppermost - min(uppermost, _EIGHT))
        while slot < uppermost:
            slot += _ONE
            store_word(state + _EIGHT + ((slot & _SEVEN) << _THREE), _ZERO)
            head = with_square_carry(head, slot & _SEVEN, _ZERO)
    return head


@helper
def add_to_square(state, slot, kept, digits):
    """Add to one slot of a sum of squares, if it is kept."""
    if slot + _SEVEN >= kept:
        address = state + _EIGHT + ((slot & _SEVEN) << _THREE)
        store_word(address, load_word(address) + digits)


@helper
def add_square(state, bits):
    """Add the square of a float to a sum of squares."""
    head = load_word(state)
    if (bits & _INFINITY) == _INFINITY:
        store_word(state, head | _SQUARES_ODD)
        return
    mantissa, exponent = float_parts(bits)
    low, shift = exponent >> _FOUR, (exponent << _ONE) & np.uint64(31)
    first, second = mantissa * mantissa, multiply_high(mantissa, mantissa)
    uppermost = low + _FOUR
    kept = head & _UPPERMOST_SQUARES
    if kept < uppermost:
        store_word(state, raise_squares(state, head, uppermost))
        kept = uppermost
    a, b = (first & _LOW32) << shift, (first >> _32) << shift
    c, d = (second & _LOW32) << shift, (second >> _32) << shift
    add_to_square(state, low, kept, a & _LOW32)
    add_to_square(state, low + _ONE, kept, (a >> _32) + (b & _LOW32))
    add_to_square(state, low + _TWO, kept, (b >> _32) + (c & _LOW32))
    add_to_square(state, low + _THREE, kept, (c >> _32) + (d & _LOW32))
    add_to_square(state, uppermost, kept, d >> _32)


@helper
def merge_squares(target, source, source_head):
    """Add one sum of squares to another, and settle it; with a `source_head` of zero, only settle."""
    head = load_word(target) | (source_head & _SQUARES_ODD)
    other_kept = source_head & _UPPERMOST_SQUARES
    if (head & _UPPERMOST_SQUARES) < other_kept:
        head = raise_squares(target, head, other_kept)
    kept = head & _UPPERMOST_SQUARES
    for below in range(_EIGHT):
        slot = kept - below
        place = slot & _SEVEN
        address = target + _EIGHT + (place << _THREE)
        low = load_word(address)
        carry = square_carry_of(head, place) + (low >> _SQUARE_KEPT_BITS)
        low &= _SQUARE_KEPT_MASK
        if other_kept and slot <= other_kept and slot + _SEVEN >= other_kept:
            added = load_word(source + _EIGHT + (place << _THREE))
            carry += square_carry_of(source_head, place) + (added >> _SQUARE_KEPT_BITS)
            low += added & _SQUARE_KEPT_MASK
            carry += low >> _SQUARE_KEPT_BITS
            low &= _SQUARE_KEPT_MASK
        store_word(address, low)
        head = with_square_carry(head, place, carry & _SQUARE_CARRY_MASK)
    store_word(target, head)


# --- integers, and the rest


@helper
def add_integer(state, value, upper):
    """Add an integer of 128 bits to a sum."""
    low, high = load_word(state), load_word(state + _EIGHT)
    if high == _SIGN:
        high = _ZERO
    total = low + value
    store_word(state, total)
    store_word(state + _EIGHT, high + upper + np.uint64(total < low))


@helper
def add_wide(state, first, second, third):
    """Add an integer of 192 bits to a sum of squares."""
    low = load_word(state)
    total = low + first
    carry = np.uint64(total < low)
    store_word(state, total)
    low = load_word(state + _EIGHT)
    total = low + second
    over = np.uint64(total < low)
    total += carry
    over += np.uint64(total < carry)
    store_word(state + _EIGHT, total)
    store_word(state + _EIGHT + _EIGHT, load_word(state + _EIGHT + _EIGHT) + third + over)


@helper
def order_word(bits, kind):
    """A value as an unsigned word that compares as the values do: -0.0 as 0.0, NaN last and only one."""
    if kind == np.uint64(UNSIGNED):
        return bits
    if kind == np.uint64(SIGNED):
        return bits ^ _SIGN
    if (bits & ~_SIGN) == _ZERO:
        return _SIGN
    if (bits & ~_SIGN) > _INFINITY:
        return _QUIET_NAN | _SIGN
    return ~bits if bits & _SIGN else bits | _SIGN


@helper
def keep_least(state, word):
    """Let the least be `word`, if it is."""
    if load_word(state + _EIGHT) == _ZERO or word < load_word(state):
        store_word(state, word)
        store_word(state + _EIGHT, _ONE)


@helper
def keep_greatest(state, word):
    """Let the greatest be `word`, if it is."""
    if load_word(state + _EIGHT) == _ZERO or word > load_word(state):
        store_word(state, word)
        store_word(state + _EIGHT, _ONE)


# --- all groups of a batch


@helper
def is_null(nulls, i):
    """Whether value i is missing."""
    return nulls != _ZERO and load_byte(nulls + i) != _ZERO


@helper
def number_of(line, i):
    """The number of record i."""
    return load_word(line[NUMBERS] + (i << _THREE)) if line[NUMBERS] else line[FIRST] + i


@helper
def update_part(line, states, first, end):
    """Add values `first` to `end` of one column to one part of their groups' states."""
    what, offset, kind = line[WHAT], line[OFFSET], line[KIND]
    column, nulls, stride = line[COLUMN], line[NULLS], line[STRIDE]
    if what == np.uint64(ROWS):
        for i in range(first, end):
            state = states[i] + offset
            store_word(state, load_word(state) + _ONE)
    elif what == np.uint64(VALUES):
        for i in range(first, end):
            state = states[i] + offset
            store_word(state, load_word(state) + np.uint64(not is_null(nulls, i)))
    elif what == np.uint64(FLOATS):
        for i in range(first, end):
            if not is_null(nulls, i):
                add_float(states[i] + offset, load_word(column + i * stride))
    elif what == np.uint64(INTEGERS):
        for i in range(first, end):
            if not is_null(nulls, i):
                value = load_word(column + i * stride)
                upper = _ZERO - (value >> _63) if kind == np.uint64(SIGNED) else _ZERO
                add_integer(states[i] + offset, value, upper)
    elif what == np.uint64(LEAST):
        for i in range(first, end):
            if not is_null(nulls, i):
                keep_least(states[i] + offset, order_word(load_word(column + i * stride), kind))
    elif what == np.uint64(GREATEST):
        for i in range(first, end):
            if not is_null(nulls, i):
                keep_greatest(states[i] + offset, order_word(load_word(column + i * stride), kind))
    elif what == np.uint64(EARLIEST):
        for i in range(first, end):
            number = number_of(line, i)
            if not is_null(nulls, i) and number < load_word(states[i] + offset):
                store_word(states[i] + offset, number)
                store_word(states[i] + offset + _EIGHT, load_word(column + i * stride))
    elif what == np.uint64(LATEST):
        for i in range(first, end):
            number = number_of(line, i) + _ONE
            if not is_null(nulls, i) and number > load_word(states[i] + offset):
                store_word(states[i] + offset, number)
                store_word(states[i] + offset + _EIGHT, load_word(column + i * stride))
    elif what == np.uint64(SQUARES):
        for i in range(first, end):
            if not is_null(nulls, i):
                value = load_word(column + i * stride)
                if kind == np.uint64(SIGNED) and value >> _63:
                    value = _ZERO - value
                add_wide(states[i] + offset, value * value, multiply_high(value, value), _ZERO)
    else:  # FSQUARES
        for i in range(first, end):
            if not is_null(nulls, i):
                add_square(states[i] + offset, load_word(column + i * stride))


@kernel("void(uint64[:, ::1], uint64[::1], uint64, uint64)")
def update_states(program, states, first, end):
    """Add values `first` to `end` of every column to the states at the addresses `states[first:end]`."""
    for part in range(np.uint64(program.shape[0])):
        update_part(program[part], states, first, end)


@helper
def merge_part(what, target, source):
    """Add one part of a state to that of another."""
    if what <= np.uint64(VALUES):
        store_word(target, load_word(target) + load_word(source))
    elif what == np.uint64(INTEGERS):
        if load_word(source + _EIGHT) != _SIGN:
            add_integer(target, load_word(source), load_word(source + _EIGHT))
    elif what == np.uint64(FLOATS):
        merge_floats(target, source)
    elif what == np.uint64(LEAST):
        if load_word(source + _EIGHT):
            keep_least(target, load_word(source))
    elif what == np.uint64(GREATEST):
        if load_word(source + _EIGHT):
            keep_greatest(target, load_word(source))
    elif what == np.uint64(EARLIEST):
        if load_word(source) < load_word(target):
            store_word(target, load_word(source))
            store_word(target + _EIGHT, load_word(source + _EIGHT))
    elif what == np.uint64(LATEST):
        if load_word(source) > load_word(target):
            store_word(target, load_word(source))
            store_word(target + _EIGHT, load_word(source + _EIGHT))
    elif what == np.uint64(SQUARES):
        add_wide(target, load_word(source), load_word(source + _EIGHT), load_word(source + _EIGHT + _EIGHT))
    else:
        merge_squares(target, source, load_word(source))


@kernel("void(uint64[:, ::1], uint64[::1], uint64[::1])")
def merge_states(program, targets, sources):
    """Add the state at `sources[i]` to that at `targets[i]`, one after the other."""
    for i in range(np.uint64(len(targets))):
        for part in range(np.uint64(program.shape[0])):
            offset = program[part, OFFSET]
            merge_part(program[part, WHAT], targets[i] + offset, sources[i] + offset)


@kernel("void(uint64[:, ::1], uint64, uint64, uint64)")
def settle_states(program, first, stride, count):
    """Make room in sums of floats for `SETTLE_VALUES` more: `count` states, the first at an address."""
    for part in range(np.uint64(program.shape[0])):
        what, state = program[part, WHAT], first + program[part, OFFSET]
        for _ in range(count):
            if what == np.uint64(FLOATS):
                settle_floats(state)
            elif what == np.uint64(FSQUARES):
                merge_squares(state, state, _ZERO)
            state += stride


# --- results


@helper
def carry_digits(digits, first, count):
    """Bring signed digits to 32 bits each, and their number to a magnitude: whether it was negative."""
    carry = np.int64(0)
    for i in range(first, first + count):
        total = np.int64(digits[i]) + carry
        digits[i] = np.uint64(total) & _LOW32
        carry = total >> np.int64(32)
    if carry >= np.int64(0):
        return False
    borrow = _ONE
    for i in range(first, first + count):
        total = (digits[i] ^ _LOW32) + borrow
        digits[i] = total & _LOW32
        borrow = total >> _32
    return True


@helper
def leading_bits(digits, first, count):
    """(53 bits, rounded half to even, of a magnitude; the place of the lowest of them, counted from digit `first`).

    Numbers below 2^53 come as they are, with a place of 0.
    """
    top = first + count
    while top > first and digits[top - _ONE] == _ZERO:
        top -= _ONE
    if top == first:
        return _ZERO, _ZERO
    h = top - _ONE
    second = digits[h - _ONE] if h >= first + _ONE else _ZERO
    third = digits[h - _TWO] if h >= first + _TWO else _ZERO
    word = (digits[h] << _32) | second
    zeros = count_leading_zeros(word)
    last = (h - first) * _32 + np.uint64(31) - zeros
    if last < np.uint64(53):
        return (digits[first + _ONE] << _32 | digits[first]) if count > _ONE else digits[first], _ZERO
    leading = (word << zeros) | (third >> (_32 - zeros))
    rest = (third << zeros) & _LOW32
    for i in range(first, max(h, first + _TWO) - _TWO):
        rest |= digits[i]
    mantissa = leading >> np.uint64(11)
    below, half = leading & np.uint64(0x7FF), np.uint64(0x400)
    if below > half or (below == half and (rest != _ZERO or mantissa & _ONE)):
        mantissa += _ONE
    return mantissa, last - np.uint64(52)


@helper
def spread_floats(state, digits, first):
    """A sum of floats as 7 signed digits from `first` on: the slot of the lowest, which may be -1 as slot 0 is."""
    head = load_word(state)
    uppermost = head & _UPPERMOST
    for i in range(first, first + _EIGHT):
        digits[i] = _ZERO
    for above in range(_FOUR):
        slot = uppermost + above - _THREE
        if slot <= uppermost:
            place = slot & _THREE
            low = np.int64(load_word(state + _EIGHT + (place << _THREE)))
            carry = carry_of(head, place) + (low >> _KEPT_BITS)
            low &= _KEPT_MASK
            digits[first + above] += np.uint64(low) & _LOW32
            digits[first + above + _ONE] += (np.uint64(low) >> _32) + (np.uint64(carry) << np.uint64(29))


@helper
def is_short(state, head):
    """Whether a sum of floats, with slot 0 or above as its lowest, fits 128 bits with its sign: few values do."""
    if head >> _CARRY_AT or (head & _UPPERMOST) < _THREE:
        return False
    top = np.int64(load_word(state + _EIGHT + ((head & _THREE) << _THREE)))
    return -_SHORT_TOP < top < _SHORT_TOP


@helper
def slot_word(state, slot):
    """What stands in a slot of a sum of floats."""
    return load_word(state + _EIGHT + ((slot & _THREE) << _THREE))


@helper
def short_sum(state, lowest):
    """A short sum of floats: (whether it is negative, the words of its magnitude), in units of slot `lowest`."""
    low = slot_word(state, lowest)
    high = _ZERO - (low >> _63)
    second = slot_word(state, lowest + _ONE)
    added = second << _32
    low += added
    high += np.uint64(np.int64(second) >> np.int64(32)) + np.uint64(low < added)
    high += slot_word(state, lowest + _TWO) + (slot_word(state, lowest + _THREE) << _32)
    if high >> _63:
        return True, ~high + np.uint64(low == _ZERO), _ZERO - low
    return False, high, low


@helper
def leading_bits_of_words(high, low):
    """(53 bits, rounded half to even; the place of the lowest of them) of two words, as `leading_bits` has them."""
    if high == _ZERO and low < _HIDDEN << _ONE:
        return low, _ZERO
    if high:
        zeros = count_leading_zeros(high)
        leading, rest = (high << zeros) | ((low >> _ONE) >> (_63 - zeros)), low << zeros
        last = np.uint64(127) - zeros
    else:
        zeros = count_leading_zeros(low)
        leading, rest = low << zeros, _ZERO
        last = _63 - zeros
    mantissa = leading >> np.uint64(11)
    below, half = leading & np.uint64(0x7FF), np.uint64(0x400)
    if below > half or (below == half and (rest != _ZERO or mantissa & _ONE)):
        mantissa += _ONE
    return mantissa, last - _MANTISSA_BITS


@helper
def float_of(state, digits):
    """The bits of the float nearest to a sum of floats."""
    head = load_word(state)
    flags = head & _SPECIAL
    if flags:
        if flags & _NAN or (flags & _PLUS and flags & _MINUS):
            return _QUIET_NAN
        return _INFINITY if flags & _PLUS else _INFINITY | _SIGN
    uppermost = head & _UPPERMOST
    if is_short(state, head):
        slot = uppermost - _THREE
        negative, high, low = short_sum(state, slot)
        mantissa, place = leading_bits_of_words(high, low)
    else:
        spread_floats(state, digits, _ZERO)
        negative = carry_digits(digits, _ZERO, _EIGHT)
        first = np.uint64(uppermost == _TWO)  # slot -1 is empty, so that counting may begin at slot 0
        mantissa, place = leading_bits(digits, first, _EIGHT - first)
        slot = uppermost + first - _THREE if uppermost else _ZERO
    sign = _SIGN if negative else _ZERO
    if mantissa == _ZERO:
        return _ZERO
    place += slot * _32
    if place and mantissa < _HIDDEN:  # a short integer above slot 0: exact
        zeros = count_leading_zeros(mantissa) - np.uint64(11)
        zeros = min(zeros, place)
        mantissa <<= zeros
        place -= zeros
    bits = (place << _MANTISSA_BITS) + mantissa
    return sign | min(bits, _INFINITY)


@kernel("void(uint64[::1], uint64, uint64[::1], uint64[::1])")
def finish_floats(states, offset, results, digits):
    """The bits of each sum of floats. A sum of nothing is 0."""
    for i in range(np.uint64(len(states))):
        results[i] = float_of(states[i] + offset, digits)


@kernel("void(uint64[::1], uint64, uint64[::1])")
def gather_words(states, offset, results):
    """The word at `offset` of each state."""
    for i in range(np.uint64(len(states))):
        results[i] = load_word(states[i] + offset)


# --- variances

_X, _Q, _A, _B = (np.uint64(n) for n in (0, 16, 32, 56))
_X_DIGITS, _Q_DIGITS, _RESULT_DIGITS = np.uint64(8), np.uint64(12), np.uint64(20)
_SQUARE_UNIT = np.int64(-2148)


@helper
def multiply_digits(digits, left, left_count, right, right_count, target):
    """Write the product of two magnitudes of 32-bit digits, `_RESULT_DIGITS` long."""
    for i in range(_RESULT_DIGITS):
        digits[target + i] = _ZERO
    for i in range(left_count):
        carry = _ZERO
        for j in range(right_count):
            total = digits[target + i + j] + digits[left + i] * digits[right + j] + carry
            digits[target + i + j] = total & _LOW32
            carry = total >> _32
        digits[target + i + right_count] = carry


@helper
def spread_word(digits, first, word):
    """The two digits of a word."""
    digits[first], digits[first + _ONE] = word & _LOW32, word >> _32


@helper
def spread_sums_of_floats(state, squares, digits):
    """The sum and the sum of squares as digits: (slot of the lowest digit of each)."""
    spread_floats(state, digits, _X)
    carry_digits(digits, _X, _X_DIGITS)
    head = load_word(squares)
    uppermost = head & _UPPERMOST_SQUARES
    for i in range(_Q_DIGITS):
        digits[_Q + i] = _ZERO
    for above in range(_EIGHT):
        slot = uppermost + above - _SEVEN
        if slot <= uppermost:
            low = load_word(squares + _EIGHT + ((slot & _SEVEN) << _THREE))
            carry = square_carry_of(head, slot & _SEVEN)
            digits[_Q + above] += low & _LOW32
            digits[_Q + above + _ONE] += (low >> _32) + (carry << np.uint64(30))
    carry_digits(digits, _Q, _Q_DIGITS)
    return np.int64(load_word(state) & _UPPERMOST) - np.int64(3), np.int64(uppermost) - np.int64(7)


@helper
def spread_sums_of_integers(state, squares, digits):
    """The sum and the sum of squares as digits."""
    low, high = load_word(state), load_word(state + _EIGHT)
    if high >> _63:
        low, high = _ZERO - low, ~high + np.uint64(low == _ZERO)
    for i in range(_Q_DIGITS):
        digits[_Q + i] = _ZERO
    for i in range(_X_DIGITS):
        digits[_X + i] = _ZERO
    spread_word(digits, _X, low)
    spread_word(digits, _X + _TWO, high)
    for word in range(_THREE):
        spread_word(digits, _Q + word * _TWO, load_word(squares + word * _EIGHT))


@kernel("void(uint64[::1], uint64, uint64, uint64, boolean, float64[::1], int64[::1], uint64[::1])")
def finish_variances(states, offset, squares_offset, count_offset, of_floats, mantissas, exponents, digits):
    """count * sum of squares - (sum)^2 of each group as `mantissas[i] * 2^exponents[i]`: rounded once, to 53 bits."""
    for i in range(np.uint64(len(states))):
        state, squares = states[i] + offset, states[i] + squares_offset
        mantissas[i], exponents[i] = 0.0, 0
        if of_floats and (load_word(state) & _SPECIAL or load_word(squares) & _SQUARES_ODD):
            mantissas[i] = np.nan
            continue
        unit, squares_unit = np.int64(0), np.int64(0)
        if of_floats:
            unit, squares_unit = spread_sums_of_floats(state, squares, digits)
        else:
            spread_sums_of_integers(state, squares, digits)
        spread_word(digits, _X + _X_DIGITS, load_word(states[i] + count_offset))
        multiply_digits(digits, _Q, _Q_DIGITS, _X + _X_DIGITS, _TWO, _A)
        multiply_digits(digits, _X, _X_DIGITS, _X, _X_DIGITS, _B)
        shift = np.uint64(np.int64(2) * unit - squares_unit)  # 0 or 1: both belong to the largest magnitude
        for j in range(_RESULT_DIGITS - shift):
            digits[_A + shift + j] -= digits[_B + j]
        if carry_digits(digits, _A, _RESULT_DIGITS):
            continue  # less than nothing, because of what is left out of the sums
        mantissa, place = leading_bits(digits, _A, _RESULT_DIGITS)
        mantissas[i] = np.float64(mantissa)
        exponents[i] = np.int64(place) + np.int64(32) * squares_unit + (_SQUARE_UNIT if of_floats else np.int64(0))
