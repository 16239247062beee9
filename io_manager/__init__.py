"""Bytes between memory and disk: spill runs, the input, the output. It has never heard of sorting.

IOManager        the temp directories, I/O threads and runs of one job
RunWriter        pooled buffers in, a run file out          RunReader   the way back, every byte verified
InputFile        a file or a pipe                           OutputFile  whole or not at all
"""

import os

from io_manager.auto_codec import AutoCodec, CodecDecision, make_codec
from io_manager.block_index import BlockIndex
from io_manager.cipher import CIPHER_MEMORY_BYTES, EncryptionMissingError, JobKey, check_encryption
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
from io_manager.job_directory import JOURNAL_NAME, JobDirectory
from io_manager.journal import Journal
from io_manager.manager import IOManager
from io_manager.output import OutputFile, make_output
from io_manager.partial_file import unfinished_path
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
from io_manager.unfinished import Unfinished, first_record, unfinished_in
from io_manager.unfinished_output import UnfinishedOutput

__all__ = [
    "ALIGNMENT",
    "CIPHER_MEMORY_BYTES",
    "HEADER_BYTES",
    "JOURNAL_NAME",
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
    "EncryptionMissingError",
    "IOManager",
    "IOManagerClosedError",
    "IOStats",
    "IOThreads",
    "IndexPart",
    "InputChangedError",
    "InputFile",
    "JobDirectory",
    "JobKey",
    "Journal",
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
    "Unfinished",
    "UnfinishedOutput",
    "check_encryption",
    "checksum",
    "first_record",
    "make_codec",
    "make_output",
    "payload_capacity",
    "sweep",
    "unfinished_in",
    "unfinished_path",
]

if "SPILLWAY_FAULTS" in os.environ:  # see `io_manager.faults`: for the stress kit, and for the tests
    from io_manager.faults import arm_from_environment

    arm_from_environment()
