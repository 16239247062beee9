"""What the shuffle benchmarks read: rows in Parquet, words in text. The same for the same size and seed.

rows     (key int64, value float64): each of `distinct` keys equally often, in random order, spread over int64
words    lines of ten words, as often as words in language (Zipf, exponent 1): 200,000 words of 2 to 12 letters
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROW_GROUP_ROWS = 1_000_000
WORDS = 200_000
WORDS_IN_LINE = 10
_LETTERS_MIN, _LETTERS_MAX = 2, 12
_CHUNK_WORDS = 1_000_000
_QUANTILES = 1 << 22
_SPREAD = 0x9E37_79B9_7F4A_7C15  # odd, so that different numbers stay different


def write_rows(path: Path, *, rows: int, distinct: int, seed: int) -> None:
    """A Parquet file of so many rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(seed)
    numbers = random.permutation(np.arange(rows, dtype=np.uint32))
    schema = pa.schema([("key", pa.int64()), ("value", pa.float64())])
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for start in range(0, rows, ROW_GROUP_ROWS):
            keys = spread_keys(numbers[start : start + ROW_GROUP_ROWS] % np.uint32(distinct))
            values = random.standard_normal(len(keys))
            writer.write_table(pa.table({"key": keys, "value": values}, schema=schema))


def spread_keys(numbers: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Small numbers to numbers all over int64, each to another."""
    return (numbers.astype(np.uint64) * np.uint64(_SPREAD)).view(np.int64)


def write_words(path: Path, *, size_bytes: int, seed: int) -> None:
    """A text file of at least so many bytes."""
    random = np.random.default_rng(seed)
    table = _words(random)
    ranks = _zipf_ranks()
    with path.open("wb") as file:
        while file.tell() < size_bytes:
            chosen = table.take(ranks.take(random.integers(0, _QUANTILES, _CHUNK_WORDS)), axis=0)
            ends = chosen[WORDS_IN_LINE - 1 :: WORDS_IN_LINE]
            ends[ends == ord(" ")] = ord("\n")
            file.write(chosen[chosen != 0].tobytes())


def _words(random: np.random.Generator) -> NDArray[np.uint8]:
    """A word and a space in each row, and zeros behind them. The frequent are the short ones."""
    letters = random.integers(ord("a"), ord("z") + 1, (WORDS, _LETTERS_MAX + 1), np.uint8)
    lengths = np.sort(random.integers(_LETTERS_MIN, _LETTERS_MAX + 1, WORDS)) // 2 + random.integers(1, 7, WORDS)
    places = np.arange(_LETTERS_MAX + 1)
    letters[places > lengths[:, None]] = 0
    letters[places == lengths[:, None]] = ord(" ")
    return letters


def _zipf_ranks() -> NDArray[np.int64]:
    """Each rank as often as its share of `_QUANTILES`."""
    shares = np.cumsum(1 / np.arange(1, WORDS + 1))
    ends = np.rint(shares / shares[-1] * _QUANTILES).astype(np.int64)
    return np.repeat(np.arange(WORDS), np.diff(ends, prepend=0))
