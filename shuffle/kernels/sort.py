"""The normalized-key quicksort.

A word packs the leading bits of a record's key above its ordinal, so words are all different, any sort of them is a
stable sort of the records, and a partition meets no equal elements:

      63                          ordinal_bits                    0
      | key bits, common part removed | which record of this buffer |

    make_words     skip the prefix that all keys share, subtract the least, use every bit that is left
    sort_words     quicksort, or nothing where one scan finds the words ascending or descending
    refine_words   where the key bits are equal, pack the next 8 bytes of the group's keys, sort again, and so on down

Descending order turns every word over (`inverted`); ties keep input order either way.
"""

import numpy as np

from serializers.intrinsics import count_leading_zeros, prefetch
from serializers.kernel_cache import helper, kernel
from serializers.keys import common_bytes, compare_keys, key_span, key_word

RANK_WORDS = 32
"""Ranges this short are sorted by counting; 24 to 48 cost the same, 16 and 64 a tenth more."""

INSERTION_RECORDS = 8
"""Groups of equal words this small are sorted by comparing whole keys."""

SAMPLE_RECORDS = 16
"""Records looked at before paying for the exact prefix that all of them share."""

SCRATCH_WORDS = 1024
"""For `sort_words`: a copy of one short range, a sample of pivots, and the ranges still to sort."""

UNORDERED, ASCENDING, DESCENDING = 0, 1, 2

_PIVOTS = 64  # where in scratch the sample of pivots stands
_RANGES = 128  # where in scratch the pending ranges begin
_ONE = np.uint64(1)
_WORD_BYTES = np.uint64(8)


@helper
def record_key(records, offsets, record_bytes, key_offset, key_bytes, ordinal):
    """Address and length of the key of one record of a sort buffer."""
    if record_bytes:
        return records + ordinal * record_bytes + key_offset, key_bytes
    top = np.uint64(len(offsets) - 1)
    start, end = np.uint64(offsets[top - ordinal]), np.uint64(offsets[top - ordinal - _ONE])
    return key_span(records + start, records + end, record_bytes, key_offset, key_bytes)


@helper
def shared_prefix(words, low, high, mask, records, offsets, record_bytes, key_offset, key_bytes, depth):
    """Leading bytes shared by the keys of `words[low:high]`, `depth` of them known; and whether the keys are equal."""
    first, first_length = record_key(records, offsets, record_bytes, key_offset, key_bytes, words[low] & mask)
    shared, equal = first_length, True
    for i in range(low + _ONE, high):
        ahead = min(i + _WORD_BYTES, high - _ONE)
        prefetch(record_key(records, offsets, record_bytes, key_offset, key_bytes, words[ahead] & mask)[0])
        key, length = record_key(records, offsets, record_bytes, key_offset, key_bytes, words[i] & mask)
        shared = depth + common_bytes(first + depth, key + depth, min(shared, length) - depth)
        equal = equal and shared == first_length and length == first_length
        if shared == depth and not equal:
            break
    return shared, equal


@helper
def pack(words, low, high, least, greatest, ordinal_bits):
    """Turn prefixes into words, in place, numbering them from `low`; tell whether they are in order already."""
    shift = count_leading_zeros((greatest - least) | _ONE)
    mask = (_ONE << ordinal_bits) - _ONE
    ascending, descending = True, True
    previous = np.uint64(0)
    for i in range(low, high):
        word = ((words[i] - least) << shift) & ~mask | i
        ascending &= word >= previous
        descending &= (word < previous) | (i == low)
        previous = word
        words[i] = word
    if ascending:
        return ASCENDING
    return DESCENDING if descending else UNORDERED


@kernel("Tuple((uint64, int64))(uint64[::1], uint64, uint32[::1], uint64, uint64, uint64, uint64, uint64)")
def make_words(words, records, offsets, record_bytes, key_offset, key_bytes, inverted, ordinal_bits):
    """Fill `words`, one for each record: (bytes of key that all share, order found by the scan)."""
    count = np.uint64(len(words))
    everything = ~np.uint64(0)
    sampled = min(count, np.uint64(SAMPLE_RECORDS))
    for i in range(sampled):
        words[i] = i * (count // sampled)
    skip, _ = shared_prefix(
        words,
        np.uint64(0),
        sampled,
        everything,
        records,
        offsets,
        record_bytes,
        key_offset,
        key_bytes,
        np.uint64(0),
    )
    if skip:
        for i in range(count):
            words[i] = i
        skip, _ = shared_prefix(
            words,
            np.uint64(0),
            count,
            everything,
            records,
            offsets,
            record_bytes,
            key_offset,
            key_bytes,
            np.uint64(0),
        )
    least, greatest = everything, np.uint64(0)
    for i in range(count):
        key, length = record_key(records, offsets, record_bytes, key_offset, key_bytes, i)
        word = key_word(key + skip, length - skip) ^ inverted
        least, greatest = min(least, word), max(greatest, word)
        words[i] = word
    return skip, pack(words, np.uint64(0), count, least, greatest, ordinal_bits)


@helper
def rank_sort(words, low, high, scratch):
    """Sort a few words by counting, for each, the words below it: no branch depends on the data."""
    count = high - low
    for i in range(count):
        scratch[i] = words[low + i]
    for i in range(count):
        word = scratch[i]
        rank = np.uint64(0)
        for j in range(count):
            rank += np.uint64(scratch[j] < word)
        words[low + rank] = word


@helper
def heap_sort(words, low, high):
    """The bound: n log n whatever the words are."""
    count = high - low
    heap, end = count >> _ONE, count
    while end > _ONE:
        if heap:
            heap -= _ONE
            word = words[low + heap]
        else:
            end -= _ONE
            word = words[low + end]
            words[low + end] = words[low]
        parent, child = heap, heap * np.uint64(2) + _ONE
        while child < end:
            if child + _ONE < end and words[low + child] < words[low + child + _ONE]:
                child += _ONE
            if words[low + child] <= word:
                break
            words[low + parent] = words[low + child]
            parent, child = child, child * np.uint64(2) + _ONE
        words[low + parent] = word


@helper
def choose_pivot(words, low, high, scratch):
    """The median of seven words spread over the range."""
    step = (high - low) // np.uint64(7)
    for i in range(np.uint64(7)):
        scratch[np.uint64(_PIVOTS) + i] = words[low + i * step + (step >> _ONE)]
    rank_sort(scratch, np.uint64(_PIVOTS), np.uint64(_PIVOTS + 7), scratch)
    return scratch[_PIVOTS + 3]


@helper
def partition(words, low, high, pivot):
    """Move the words below `pivot` to the front, without a branch: where the rest begins."""
    middle = low
    for i in range(low, high):
        word = words[i]
        words[i] = words[middle]
        words[middle] = word
        middle += np.uint64(word < pivot)
    return middle


@helper
def quicksort(words, low, high, scratch):
    """Sort `words[low:high]`. The larger side is put off, so pending ranges stay under 64 whatever the input."""
    pending = np.uint64(_RANGES)
    depth_left = np.uint64(3) * (np.uint64(64) - count_leading_zeros(high - low))
    while True:
        while high - low > np.uint64(RANK_WORDS) and depth_left:
            depth_left -= _ONE
            middle = partition(words, low, high, choose_pivot(words, low, high, scratch))
            smaller_is_left = middle - low < high - middle
            scratch[pending] = middle if smaller_is_left else low
            scratch[pending + _ONE] = high if smaller_is_left else middle
            scratch[pending + np.uint64(2)] = depth_left
            pending += np.uint64(3)
            low, high = (low, middle) if smaller_is_left else (middle, high)
        if high - low > np.uint64(RANK_WORDS):
            heap_sort(words, low, high)
        else:
            rank_sort(words, low, high, scratch)
        if pending == np.uint64(_RANGES):
            return
        pending -= np.uint64(3)
        low, high, depth_left = scratch[pending], scratch[pending + _ONE], scratch[pending + np.uint64(2)]


@kernel("void(uint64[::1], uint64[::1])")
def sort_words(words, scratch):
    """Sort all of `words`. `scratch` is `SCRATCH_WORDS` long."""
    quicksort(words, np.uint64(0), np.uint64(len(words)), scratch)


@helper
def insertion_sort(words, low, high, mask, records, offsets, record_bytes, key_offset, key_bytes, depth, inverted):
    """Sort a few records whose keys agree in the first `depth` bytes by comparing the rest."""
    for i in range(low + _ONE, high):
        word = words[i]
        key, length = record_key(records, offsets, record_bytes, key_offset, key_bytes, word & mask)
        j = i
        while j > low:
            other, other_length = record_key(
                records, offsets, record_bytes, key_offset, key_bytes, words[j - _ONE] & mask
            )
            order = compare_keys(key + depth, length - depth, other + depth, other_length - depth)
            if order == 0 or (order > 0) != (inverted != np.uint64(0)):
                break
            words[j] = words[j - _ONE]
            j -= _ONE
        words[j] = word


@helper
def deeper_word(words, i, mask, records, offsets, record_bytes, key_offset, key_bytes, depth, inverted, by_length):
    """The 8 key bytes at `depth`; or, where those are equal but for the zeros of short keys, how many there are."""
    key, length = record_key(records, offsets, record_bytes, key_offset, key_bytes, words[i] & mask)
    if by_length:
        return min(length - depth, _WORD_BYTES) ^ inverted
    return key_word(key + depth, length - depth) ^ inverted


@helper
def repack(words, low, high, mask, records, offsets, record_bytes, key_offset, key_bytes, depth, inverted):
    """Replace the key bits of `words[low:high]` by those at `depth`, and keep the ordinals."""
    for by_length in (False, True):
        least, greatest = ~np.uint64(0), np.uint64(0)
        for i in range(low, high):
            word = deeper_word(
                words,
                i,
                mask,
                records,
                offsets,
                record_bytes,
                key_offset,
                key_bytes,
                depth,
                inverted,
                by_length,
            )
            least, greatest = min(least, word), max(greatest, word)
        if least < greatest:
            break
    shift = count_leading_zeros((greatest - least) | _ONE)
    for i in range(low, high):
        word = deeper_word(
            words, i, mask, records, offsets, record_bytes, key_offset, key_bytes, depth, inverted, by_length
        )
        words[i] = ((word - least) << shift) & ~mask | (words[i] & mask)


@kernel(
    "int64(uint64[::1], uint64, uint32[::1], uint64, uint64, uint64, uint64, uint64, uint64, uint64[::1], uint64[::1])"
)
def refine_words(
    words, records, offsets, record_bytes, key_offset, key_bytes, inverted, ordinal_bits, skip, scratch, stack
):
    """Order the records whose words agree in every key bit. Returns the deepest nesting of groups.

    `stack` holds two words for each level of nesting. Every level parts at least one record from the others, at least
    8 bytes deeper every second level, so n bytes of records nest less than sqrt(n) deep.
    """
    mask = (_ONE << ordinal_bits) - _ONE
    low, end, depth = np.uint64(0), np.uint64(len(words)), skip
    level = np.uint64(0)
    deepest = np.uint64(0)
    while True:
        if low >= end:
            if level == np.uint64(0):
                return np.int64(deepest)
            level -= _ONE
            end, depth = stack[level * np.uint64(2)], stack[level * np.uint64(2) + _ONE]
            continue
        key_bits = words[low] >> ordinal_bits
        high = low + _ONE
        while high < end and words[high] >> ordinal_bits == key_bits:
            high += _ONE
        if high - low == _ONE:
            low = high
        elif high - low <= np.uint64(INSERTION_RECORDS):
            insertion_sort(
                words, low, high, mask, records, offsets, record_bytes, key_offset, key_bytes, depth, inverted
            )
            low = high
        else:
            shared, equal = shared_prefix(
                words, low, high, mask, records, offsets, record_bytes, key_offset, key_bytes, depth
            )
            if equal:
                low = high
                continue
            stack[level * np.uint64(2)], stack[level * np.uint64(2) + _ONE] = end, depth
            level += _ONE
            deepest = max(deepest, level)
            end, depth = high, shared
            repack(words, low, high, mask, records, offsets, record_bytes, key_offset, key_bytes, depth, inverted)
            quicksort(words, low, high, scratch)


@kernel("uint64(uint64[::1], uint64, uint32[::1], uint64, uint64, uint64, uint64)")
def drop_equal(words, records, offsets, record_bytes, key_offset, key_bytes, mask):
    """Keep the first of each group of equal keys, in place: how many words are left."""
    count = np.uint64(len(words))
    kept = min(count, _ONE)
    for i in range(kept, count):
        last, last_length = record_key(records, offsets, record_bytes, key_offset, key_bytes, words[kept - _ONE] & mask)
        key, length = record_key(records, offsets, record_bytes, key_offset, key_bytes, words[i] & mask)
        words[kept] = words[i]
        kept += np.uint64(compare_keys(last, last_length, key, length) != 0)
    return kept
