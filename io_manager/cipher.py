"""Sealed files: nobody without the key of the job reads one that is encrypted, or makes one that is believed.

    key of the job ──HMAC-SHA256 (salt of the file)──> key of the file ──number of the unit──> seal: tag, ciphertext

A unit is what is written and proved at once: a block, a page of an index, a batch of records. Encrypted, it goes
through AES-256-GCM with its number as the nonce; else its tag is HMAC-SHA256, cut to 16 bytes, and its bytes stay as
they are.

No nonce comes twice with one key. A salt is 32 random bytes, so no two files have the same key, whatever processes
wrote them; within a file units are numbered, and each is sealed once. The key of a job is random, in memory only, and
goes to worker processes through their pipes.
"""

from __future__ import annotations

import hmac
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import IntEnum
from importlib.util import find_spec
from typing import Any, Self

KEY_BYTES = 32
SALT_BYTES = 32
TAG_BYTES = 16

CIPHER_MEMORY_BYTES = 10 << 20
"""What loading the cipher adds to a process: 8.5 MiB with `cryptography` 50."""

_NUMBER_BITS = 64
_NONCE_BYTES = 12


class EncryptionMissingError(ImportError):
    """Encryption was asked for, and the package that does it is not installed."""


class BrokenSealError(ValueError):
    """These bytes were not sealed as this unit of this file with the key of this job."""


class Unit(IntEnum):
    """Kinds of units: the upper half of a nonce. A kind has a count of its own in each file."""

    HEADER = 0
    BLOCK = 1
    INDEX = 2
    FOOTER = 3
    ENTRY = 4
    BATCH = 5

    def number(self, count: int) -> int:
        """The number of the unit `count` of this kind."""
        assert 0 <= count < 1 << _NUMBER_BITS, count
        return self << _NUMBER_BITS | count


class FileSeal(ABC):
    """Seals the units of one file, and proves them. Any number of threads may use it at once."""

    encrypts: bool

    def __init__(self, key: bytes) -> None:
        self._key = key

    @abstractmethod
    def seal(self, number: int, head: bytes | memoryview, body: memoryview) -> bytes:
        """The tag of a unit. `head` stays readable; `body` is encrypted in its place, if this seal encrypts."""

    @abstractmethod
    def unseal(self, number: int, head: bytes | memoryview, body: memoryview, tag: bytes) -> None:
        """Prove a unit, and decrypt `body` in its place. Raises BrokenSealError; nothing may be used then."""


class MacSeal(FileSeal):
    """Proves who wrote, and hides nothing."""

    encrypts = False

    def seal(self, number: int, head: bytes | memoryview, body: memoryview) -> bytes:
        digest = hmac.new(self._key, _nonce(number) + len(head).to_bytes(8, "little"), "sha256")
        digest.update(head)
        digest.update(body)
        return digest.digest()[:TAG_BYTES]

    def unseal(self, number: int, head: bytes | memoryview, body: memoryview, tag: bytes) -> None:
        if not hmac.compare_digest(self.seal(number, head, body), tag):
            raise BrokenSealError(_BROKEN)


class GcmSeal(FileSeal):
    """Hides, and proves who wrote. The only place that knows `cryptography`, which is loaded when it is needed."""

    encrypts = True

    def __init__(self, key: bytes) -> None:
        check_encryption()
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
        from cryptography.hazmat.primitives.ciphers.modes import GCM

        super().__init__(key)
        self._new_cipher, self._algorithm, self._mode, self._invalid = Cipher, AES(key), GCM, InvalidTag

    def seal(self, number: int, head: bytes | memoryview, body: memoryview) -> bytes:
        encryptor = self._new_cipher(self._algorithm, self._mode(_nonce(number))).encryptor()
        _pass_through(encryptor, head, body)
        return bytes(encryptor.tag)

    def unseal(self, number: int, head: bytes | memoryview, body: memoryview, tag: bytes) -> None:
        if len(tag) != TAG_BYTES:
            raise BrokenSealError(_BROKEN)
        decryptor = self._new_cipher(self._algorithm, self._mode(_nonce(number), tag)).decryptor()
        try:
            _pass_through(decryptor, head, body)
        except self._invalid as error:
            raise BrokenSealError(_BROKEN) from error


def _pass_through(cipher: Any, head: bytes | memoryview, body: memoryview) -> None:
    """In place: no second buffer, whatever the length."""
    cipher.authenticate_additional_data(head)
    if len(body):
        cipher.update_into(body, body)
    cipher.finalize()


_BROKEN = "the seal is broken: this job did not write these bytes here"


@dataclass(frozen=True)
class JobKey:
    """What the files of one job are sealed with. It is never written, and never shown."""

    secret: bytes = field(repr=False)
    encrypts: bool

    @classmethod
    def generate(cls, *, encrypts: bool) -> Self:
        """A new one. Raises EncryptionMissingError."""
        if encrypts:
            check_encryption()
        return cls(os.urandom(KEY_BYTES), encrypts)

    def file_seal(self, salt: bytes) -> FileSeal:
        """For the file with this salt."""
        assert len(salt) == SALT_BYTES, len(salt)
        key = hmac.digest(self.secret, b"spillway file key" + salt, "sha256")
        return GcmSeal(key) if self.encrypts else MacSeal(key)


def new_salt() -> bytes:
    """For a new file."""
    return os.urandom(SALT_BYTES)


def check_encryption() -> None:
    """Raises EncryptionMissingError, with the cure, where files cannot be encrypted."""
    if find_spec("cryptography") is None:
        raise EncryptionMissingError(
            "encrypting spill files needs the package cryptography: pip install 'spillway[encrypt]'"
        )


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES, "big")
