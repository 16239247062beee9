"""A hash table over one stretch of memory: keys to the addresses of their groups' states, a batch at a time.

    base                     top                       index                            end
    | entry | entry | entry ... | free               | slot | slot | slot ...           |

    entry of words   | key, 1 or 2 words | state |
    entry of bytes   | hash | key_bytes, body_bytes | state | key and what follows it, padded to 8 bytes |
    slot             | place of the entry / 8, plus 1 | lower half of the hash |       0 if it is free

Entries stand one behind another as they came, so that growing moves none: the index is made anew, twice as long, below
where it was. A batch is looked up in three rounds, each asking for the memory that the next will need: hash and slot,
candidate by half a hash, comparison of the key. So a table larger than the cache costs what memory can give, and not
what it takes to wait for it. Collisions go to the next slot.

A batch stops where an entry finds no room. Keys of bytes behind that place may have got an entry whose state is that of
nothing: adding it to another changes nothing.
"""

import numpy as np

from serializers.intrinsics import copy_bytes, load_byte, load_word, multiply_high, prefetch, store_word, swap_bytes
from serializers.kernel_cache import helper, kernel
from serializers.keys import compare_keys, key_span, key_word
from serializers.row_bytes import varint_bytes, write_varint
from shuffle.kernels.states import update_part

# Entries of `table`.
BASE, TOP, INDEX, END, SLOT_BITS, COUNT, COUNT_MAX = range(7)
KEY_WORDS, STATE_BYTES, TEMPLATE, NULL_STATE, NULL_USED, HASH_BITS, ENTRY_BYTES = range(7, 14)
TABLE_ENTRIES = 14

ENTRY_HEAD_BYTES = 16
"""Of an entry of bytes, before its state."""

_ZERO, _ONE, _TWO, _THREE, _SEVEN, _EIGHT = (np.uint64(n) for n in (0, 1, 2, 3, 7, 8))
_LOW32 = np.uint64(0xFFFF_FFFF)
_32, _64 = np.uint64(32), np.uint64(64)
_SLACK = np.uint64(64)
_ENTRY_HEAD = np.uint64(ENTRY_HEAD_BYTES)
_ROUND, _ROUND_CACHED = np.uint64(1024), np.uint64(8192)
"""Rows looked up together: their slots, entries and hashes stay in the cache."""

CACHED_SLOT_BITS = 14
"""A table of so few slots is in the cache, with its entries: nothing need be asked for beforehand.

An eighth of the slots may be taken then, so that a key is nearly always in the first: a branch that is guessed wrong
costs as much as all the rest. Of more slots, five eighths may be.
"""

# The published secrets of wyhash.
_A0, _A1, _A2 = np.uint64(0xA076_1D64_78BD_642F), np.uint64(0xE703_7ED1_A0B4_28DB), np.uint64(0x8EBC_6AF0_9C88_C6E3)


@helper
def fold(left, right):
    """Both halves of the product, in one word."""
    return (left * right) ^ multiply_high(left, right)


@helper
def hash_words(hash_bits, two, first, second):
    """The hash of a key of one word, or of two; fewer bits of it where a test wants collisions."""
    hashed = fold(first ^ _A0, _A1)
    return (fold(hashed ^ second, _A2) if two else hashed) & hash_bits


@helper
def hash_key(table, key, length):
    """The hash of a key of bytes."""
    hashed = length ^ _A2
    while length > _EIGHT:
        hashed = fold(key_word(key, length) ^ _A0 ^ hashed, _A1)
        key += _EIGHT
        length -= _EIGHT
    return fold(key_word(key, length) ^ hashed ^ _A0, _A1) & table[HASH_BITS]


@helper
def slot_of(table, hashed):
    """Where the search for a hash begins."""
    return hashed >> (_64 - table[SLOT_BITS])


@helper
def slot_mask(table):
    """Slots are counted from 0 to this."""
    return (_ONE << table[SLOT_BITS]) - _ONE


@helper
def entry_of(base, slot_word):
    """The address of the entry that a slot names."""
    return base + (((slot_word >> _32) - _ONE) << _THREE)


@helper
def bytes_entry_size(table, body_bytes):
    """The size of an entry of bytes."""
    return _ENTRY_HEAD + table[STATE_BYTES] + ((body_bytes + _SEVEN) & ~_SEVEN)


@helper
def body_size(entry):
    """The size of the key of an entry of bytes, and what follows it."""
    return load_word(entry + _EIGHT) >> _32


@helper
def put_slot(table, entry, hashed):
    """Let the next free slot name an entry."""
    mask = slot_mask(table)
    slot = slot_of(table, hashed)
    while load_word(table[INDEX] + (slot << _THREE)):
        slot = (slot + _ONE) & mask
    place = ((entry - table[BASE]) >> _THREE) + _ONE
    store_word(table[INDEX] + (slot << _THREE), place << _32 | hashed & _LOW32)


@helper
def make_index(table, slot_bits):
    """Make the index anew, from the entries."""
    table[SLOT_BITS] = slot_bits
    slots = _ONE << slot_bits
    table[INDEX] = table[END] - (slots << _THREE)
    table[COUNT_MAX] = (
        slots >> _THREE if slot_bits <= np.uint64(CACHED_SLOT_BITS) else (slots >> _ONE) + (slots >> _THREE)
    )
    for slot in range(slots):
        store_word(table[INDEX] + (slot << _THREE), _ZERO)
    entry = table[BASE]
    if table[KEY_WORDS]:
        two = table[KEY_WORDS] == _TWO
        for _ in range(table[COUNT]):
            second = load_word(entry + _EIGHT) if two else _ZERO
            put_slot(table, entry, hash_words(table[HASH_BITS], two, load_word(entry), second))
            entry += table[ENTRY_BYTES]
    else:
        for _ in range(table[COUNT]):
            if load_word(entry + _EIGHT) & _LOW32 != _LOW32:
                put_slot(table, entry, load_word(entry))
            entry += bytes_entry_size(table, body_size(entry))


@helper
def has_room(table, size):
    """Whether one more entry has room, once the index has grown if that is needed and possible."""
    if table[TOP] + size + _SLACK > table[INDEX]:
        return False
    if table[COUNT] < table[COUNT_MAX]:
        return True
    slots = _TWO << table[SLOT_BITS]
    if slots <= _LOW32 and table[TOP] + size + _SLACK + (slots << _THREE) <= table[END]:
        make_index(table, table[SLOT_BITS] + _ONE)
        return True
    return table[COUNT] < slot_mask(table) - (slot_mask(table) >> _THREE)  # seven eighths, and no more


@helper
def start_state(table, state):
    """Let a state be that of nothing."""
    copy_bytes(state, table[TEMPLATE], table[STATE_BYTES])


@kernel("void(uint64[::1], uint64)")
def clear_table(table, slot_bits):
    """Forget every entry; the index has 2^slot_bits slots."""
    table[COUNT], table[TOP] = _ZERO, table[BASE]
    make_index(table, slot_bits)


# --- keys of one or two words


@helper
def same_words(entry, two, first, second):
    """Whether an entry has this key, of one word or two."""
    return load_word(entry) == first and (not two or load_word(entry + _EIGHT) == second)


@helper
def add_words(table, slot, hashed, first, second):
    """Make an entry, in a free slot unless the index grows: its address, 0 if it has no room."""
    key_words, size = table[KEY_WORDS], table[ENTRY_BYTES]
    slot_bits = table[SLOT_BITS]
    if not has_room(table, size):
        return _ZERO
    entry = table[TOP]
    store_word(entry, first)
    if key_words == _TWO:
        store_word(entry + _EIGHT, second)
    start_state(table, entry + key_words * _EIGHT)
    table[TOP] = entry + size
    table[COUNT] += _ONE
    if slot_bits == table[SLOT_BITS]:
        place = ((entry - table[BASE]) >> _THREE) + _ONE
        store_word(table[INDEX] + (slot << _THREE), place << _32 | hashed & _LOW32)
    else:
        put_slot(table, entry, hashed)
    return entry


@helper
def search_words(table, hashed, first, second):
    """The entry of a key, made if there is none; 0 if it has no room."""
    mask = slot_mask(table)
    slot = slot_of(table, hashed)
    while True:
        word = load_word(table[INDEX] + (slot << _THREE))
        if word == _ZERO:
            return add_words(table, slot, hashed, first, second)
        if word & _LOW32 == hashed & _LOW32:
            entry = entry_of(table[BASE], word)
            if same_words(entry, table[KEY_WORDS] == _TWO, first, second):
                return entry
        slot = (slot + _ONE) & mask


@helper
def find_cached(table, keys, stride, flip, first, end, states):
    """The states of keys of one word in a table that is in the cache: how far it came, to one that has no entry."""
    index, shift, base, hash_bits = table[INDEX], _64 - table[SLOT_BITS], table[BASE], table[HASH_BITS]
    mask = slot_mask(table)
    for i in range(first, end):
        word = load_word(keys + i * stride) ^ flip
        slot = hash_words(hash_bits, False, word, _ZERO) >> shift
        slot_word = load_word(index + (slot << _THREE))
        entry = entry_of(base, slot_word)
        while slot_word and load_word(entry) != word:
            slot = (slot + _ONE) & mask
            slot_word = load_word(index + (slot << _THREE))
            entry = entry_of(base, slot_word)
        if slot_word == _ZERO:
            return i
        states[i] = entry + _EIGHT
    return end


@helper
def find_round(table, keys, stride, flip, nulls, first, end, states, hashes):
    """Find the states of the next keys: (how far it came, whether it may go on). Fewer than all if it may not."""
    two, hash_bits = table[KEY_WORDS] == _TWO, table[HASH_BITS]
    base, head = table[BASE], table[KEY_WORDS] * _EIGHT
    is_large = table[SLOT_BITS] > np.uint64(CACHED_SLOT_BITS)
    end = min(end, first + (_ROUND if is_large else _ROUND_CACHED))
    if not (is_large or two or nulls):
        first = find_cached(table, keys, stride, flip, first, end, states)
    index, shift = table[INDEX], _64 - table[SLOT_BITS]
    if is_large:
        for i in range(first, end):
            key = keys + i * stride
            second = load_word(key + _EIGHT) if two else _ZERO
            hashes[i] = hash_words(hash_bits, two, load_word(key) ^ flip, second)
            prefetch(index + ((hashes[i] >> shift) << _THREE))
        for i in range(first, end):
            entry = entry_of(base, load_word(index + ((hashes[i] >> shift) << _THREE)))
            prefetch(entry)
            prefetch(entry + table[ENTRY_BYTES] - _ONE)
    for i in range(first, end):
        if nulls and load_byte(nulls + i):
            states[i] = table[NULL_STATE]
            table[NULL_USED] = _ONE
            continue
        key = keys + i * stride
        word, second = load_word(key) ^ flip, load_word(key + _EIGHT) if two else _ZERO
        hashed = hashes[i] if is_large else hash_words(hash_bits, two, word, second)
        slot_word = load_word(index + ((hashed >> shift) << _THREE))
        entry = entry_of(base, slot_word)
        if slot_word == _ZERO or not same_words(entry, two, word, second):
            entry = search_words(table, hashed, word, second)
            if entry == _ZERO:
                return i, False
            index, shift = table[INDEX], _64 - table[SLOT_BITS]
        states[i] = entry + head
    return end, True


@kernel("uint64(uint64[::1], uint64, uint64, uint64, uint64, uint64, uint64, uint64[::1], uint64[::1], uint64[:, ::1])")
def combine_words(table, keys, stride, flip, nulls, first, end, states, hashes, program):
    """Add records `first` to `end` to the states of their keys: how far it came, not to `end` if the table is full.

    keys     address of the first key, `KEY_WORDS` words as they stand; the next is `stride` bytes behind it
    flip     exclusive-or for the first word of each
    nulls    address of a byte for each key, not zero where it is null; 0 if none is
    states   scratch, as `hashes` is: a word for each record
    program  what to add: see `shuffle.kernels.states`; none for keys alone
    """
    goes_on = True
    while first < end and goes_on:
        stop, goes_on = find_round(table, keys, stride, flip, nulls, first, end, states, hashes)
        for part in range(np.uint64(program.shape[0])):
            update_part(program[part], states, first, stop)
        first = stop
    return first


@kernel("void(uint64, uint32[::1], uint64, uint64, uint64[:, ::1])")
def words_of_rows(data, ends, key_bytes, key_length, words):
    """The keys of rows, `key_length` bytes each and at most 16, as one or two words that compare as the keys do."""
    start = data
    for i in range(np.uint64(len(ends))):
        end = data + np.uint64(ends[i])
        key, _ = key_span(start, end, _ZERO, _ZERO, key_bytes)
        words[i, 0] = key_word(key, key_length)
        if key_length > _EIGHT:
            words[i, 1] = key_word(key + _EIGHT, key_length - _EIGHT)
        start = end


# --- keys of any bytes


@helper
def state_of(entry):
    """The state of an entry of bytes."""
    return entry + _ENTRY_HEAD


@helper
def body_of(table, entry):
    """The key of an entry of bytes, and what follows it."""
    return entry + _ENTRY_HEAD + table[STATE_BYTES]


@helper
def same_key(table, entry, hashed, key, key_length):
    """Whether an entry has this key."""
    if load_word(entry) != hashed or load_word(entry + _EIGHT) & _LOW32 != key_length:
        return False
    return compare_keys(body_of(table, entry), key_length, key, key_length) == 0


@helper
def add_bytes(table, hashed, key, key_length, body_bytes):
    """Make an entry and a slot for it: its address, 0 if it has no room."""
    size = bytes_entry_size(table, body_bytes)
    if not has_room(table, size):
        return _ZERO
    entry = table[TOP]
    store_word(entry, hashed)
    store_word(entry + _EIGHT, body_bytes << _32 | key_length)
    start_state(table, state_of(entry))
    copy_bytes(body_of(table, entry), key, body_bytes)
    table[TOP] = entry + size
    table[COUNT] += _ONE
    put_slot(table, entry, hashed)
    return entry


@helper
def replace_bytes(table, slot, entry, key, key_length, body_bytes):
    """Give a group another body, equal in key: where the entry is now, 0 if it has no room."""
    if body_bytes == body_size(entry):
        copy_bytes(body_of(table, entry), key, body_bytes)
        return entry
    size = bytes_entry_size(table, body_bytes)
    if table[TOP] + size + _SLACK > table[INDEX]:
        return _ZERO
    made = table[TOP]
    store_word(made, load_word(entry))
    store_word(made + _EIGHT, body_bytes << _32 | key_length)
    copy_bytes(state_of(made), state_of(entry), table[STATE_BYTES])
    copy_bytes(body_of(table, made), key, body_bytes)
    table[TOP] = made + size
    table[COUNT] += _ONE
    store_word(entry + _EIGHT, load_word(entry + _EIGHT) | _LOW32)  # dead: no key is so long
    place = ((made - table[BASE]) >> _THREE) + _ONE
    word = load_word(table[INDEX] + (slot << _THREE))
    store_word(table[INDEX] + (slot << _THREE), place << _32 | word & _LOW32)
    return made


@helper
def search_bytes(table, hashed, key, key_length, body_bytes):
    """The entry of a key, made if there is none; 0 if it has no room. Of equal keys the least body stays."""
    mask = slot_mask(table)
    slot = slot_of(table, hashed)
    while True:
        word = load_word(table[INDEX] + (slot << _THREE))
        if word == _ZERO:
            return add_bytes(table, hashed, key, key_length, body_bytes)
        if word & _LOW32 == hashed & _LOW32:
            entry = entry_of(table[BASE], word)
            if same_key(table, entry, hashed, key, key_length):
                rest, other = body_bytes - key_length, body_size(entry) - key_length
                if (rest or other) and compare_keys(
                    key + key_length, rest, body_of(table, entry) + key_length, other
                ) < 0:
                    return replace_bytes(table, slot, entry, key, key_length, body_bytes)
                return entry
        slot = (slot + _ONE) & mask


@kernel("uint64(uint64[::1], uint64, uint32[::1], uint64, uint64, uint64, uint64[::1], uint64[::1])")
def find_bytes(table, data, ends, key_bytes, first, tail_bytes, states, hashes):
    """The states of the keys of rows, from row `first` on: how far it came.

    Row i ends at `data + ends[i]`; its last `tail_bytes` are no part of the key, nor of what follows it.
    """
    count = np.uint64(len(ends))
    from_row = first
    while first < count:
        stop = min(count, first + _ROUND)
        start = data + (np.uint64(ends[first - _ONE]) if first else _ZERO)
        begin = start
        for i in range(first, stop):
            end = data + np.uint64(ends[i])
            key, length = key_span(start, end, _ZERO, _ZERO, key_bytes)
            hashed = hash_key(table, key, length)
            hashes[i] = hashed
            prefetch(table[INDEX] + (slot_of(table, hashed) << _THREE))
            start = end
        for i in range(first, stop):
            word = load_word(table[INDEX] + (slot_of(table, hashes[i]) << _THREE))
            if word:
                prefetch(entry_of(table[BASE], word))
        start = begin
        for i in range(first, stop):
            end = data + np.uint64(ends[i])
            key, length = key_span(start, end, _ZERO, _ZERO, key_bytes)
            entry = search_bytes(table, hashes[i], key, length, end - tail_bytes - key)
            if entry == _ZERO:
                stop = count = i
                break
            states[i] = entry
            start = end
        first = stop
    start = data + (np.uint64(ends[from_row - _ONE]) if from_row else _ZERO)
    for i in range(from_row, count):
        entry = states[i]
        end = data + np.uint64(ends[i])
        if load_word(entry + _EIGHT) & _LOW32 == _LOW32:  # it was replaced meanwhile: the group stands elsewhere
            key, length = key_span(start, end, _ZERO, _ZERO, key_bytes)
            entry = search_bytes(table, hashes[i], key, length, end - tail_bytes - key)
            if entry == _ZERO:
                return i
        states[i] = state_of(entry)
        start = end
    return count


# --- entries in turn


@kernel("Tuple((uint64, uint64))(uint64[::1], uint64, uint64[::1])")
def list_entries(table, start, entries):
    """The addresses of live entries of bytes from the address `start` on: (how many, where the next begins)."""
    found = _ZERO
    while start < table[TOP] and found < np.uint64(len(entries)):
        if load_word(start + _EIGHT) & _LOW32 != _LOW32:
            entries[found] = start
            found += _ONE
        start += bytes_entry_size(table, body_size(start))
    return found, start


@kernel("uint64(uint64[::1], uint64[::1], uint64, boolean, uint64, uint32[::1])")
def write_entries(table, entries, key_length, keys_vary, target, ends):
    """Write a row for each entry at `entries`: key and what follows it, the state, a zero byte. Where the last ends.

    Keys of words are `key_length` bytes. Row i ends at `target + ends[i]`.
    """
    position = target
    state_bytes = table[STATE_BYTES]
    for i in range(np.uint64(len(entries))):
        entry = entries[i]
        if table[KEY_WORDS]:
            position = write_varint(position, key_length + state_bytes + _ONE)
            store_word(position, swap_bytes(load_word(entry)))
            if table[KEY_WORDS] == _TWO:
                store_word(position + _EIGHT, swap_bytes(load_word(entry + _EIGHT)))
            position += key_length
            copy_bytes(position, entry + table[KEY_WORDS] * _EIGHT, state_bytes)
        else:
            sizes = load_word(entry + _EIGHT)
            length, body = sizes & _LOW32, sizes >> _32
            head = varint_bytes(length) if keys_vary else _ZERO
            position = write_varint(position, head + body + state_bytes + _ONE)
            if keys_vary:
                position = write_varint(position, length)
            copy_bytes(position, body_of(table, entry), body)
            position += body
            copy_bytes(position, state_of(entry), state_bytes)
        position += state_bytes
        store_word(position, _ZERO)
        position += _ONE
        ends[i] = np.uint32(position - target)
    return position - target
