"""Bytes between memory and disk: spill runs, the input, the output. It has never heard of sorting.

IOManager        the temp directories, I/O threads and runs of one job
RunWriter        pooled buffers in, a run file out          RunReader   the way back, every byte verified
InputFile        a file or a pipe                           OutputFile  whole or not at all
"""

from io_manager.auto_codec import AutoCodec, CodecDecision, make_codec
from io_manager.block_index import BlockIndex
from io_manager.codec import Codec, CodecError
from io_manager.errors import (
    DiskFullError,
    DiskLimitError,
    InputChangedError,
    IOManagerClosedError,
    RunCorruptError,
    RunTruncatedError,
    SpillError,
    TempDirError,
)
from io_manager.io_threads import IOThreads
from io_manager.manager import IOManager
from io_manager.output import OutputFile, make_output
from io_manager.run_file import IndexPart, PooledBuffer, RunFile
from io_manager.run_format import (
    ALIGNMENT,
    HEADER_BYTES,
    KEY_BYTES_MAX,
    BlockFlags,
    BlockHeader,
    checksum,
    payload_capacity,
)
from io_manager.run_reader import RunReader
from io_manager.run_writer import MAX_IN_FLIGHT, RunWriter
from io_manager.source import InputFile
from io_manager.stats import IOStats
from io_manager.stream_output import StreamOutput
from io_manager.sweep import Swept, sweep

__all__ = [
    "ALIGNMENT",
    "HEADER_BYTES",
    "KEY_BYTES_MAX",
    "MAX_IN_FLIGHT",
    "AutoCodec",
    "BlockFlags",
    "BlockHeader",
    "BlockIndex",
    "Codec",
    "CodecDecision",
    "CodecError",
    "DiskFullError",
    "DiskLimitError",
    "IOManager",
    "IOManagerClosedError",
    "IOStats",
    "IOThreads",
    "IndexPart",
    "InputChangedError",
    "InputFile",
    "OutputFile",
    "PooledBuffer",
    "RunCorruptError",
    "RunFile",
    "RunReader",
    "RunTruncatedError",
    "RunWriter",
    "SpillError",
    "StreamOutput",
    "Swept",
    "TempDirError",
    "checksum",
    "make_codec",
    "make_output",
    "payload_capacity",
    "sweep",
]
