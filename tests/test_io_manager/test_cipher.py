"""Seals: what comes back is what was sealed, as that unit of that file, with that key; or an error."""

from __future__ import annotations

import hmac
import pickle

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from io_manager import JobKey
from io_manager.cipher import BrokenSealError, Unit, new_salt

SALT = bytes(range(32))
KEYS = {encrypts: JobKey(b"k" * 32, encrypts) for encrypts in (True, False)}


@given(head=st.binary(max_size=99), body=st.binary(max_size=999), count=st.integers(0, 2**64 - 1), data=st.data())
def test_a_unit_returns_as_itself_only(head: bytes, body: bytes, count: int, data: st.DataObject) -> None:
    key = KEYS[data.draw(st.booleans())]
    seal, number, view = key.file_seal(SALT), Unit.BLOCK.number(count), memoryview(bytearray(body))
    tag = seal.seal(number, head, view)
    stored = bytes(view)
    assert len(tag) == 16 and (stored == body) <= (not key.encrypts or len(body) < 4)
    seal.unseal(number, head, view, tag)
    assert bytes(view) == body
    others = [
        (key.file_seal(SALT), number ^ 1, head, stored, tag),
        (key.file_seal(SALT), Unit.INDEX.number(count), head, stored, tag),
        (key.file_seal(SALT[::-1]), number, head, stored, tag),
        (JobKey(b"o" * 32, key.encrypts).file_seal(SALT), number, head, stored, tag),
        (JobKey(key.secret, not key.encrypts).file_seal(SALT), number, head, stored, tag),
        (seal, number, head + b"x", stored, tag),
        (seal, number, head, stored + b"x", tag),
        (seal, number, head[:-1] if head else b"y", stored, tag),
        (seal, number, head, stored, tag[:-1]),
        (seal, number, head, stored, b""),
        (seal, number, head, stored, bytes([tag[0] ^ 1]) + tag[1:]),
    ]
    for other, place, front, rest, mark in others:
        with pytest.raises(BrokenSealError):
            other.unseal(place, front, memoryview(bytearray(rest)), mark)


def test_head_and_body_are_told_apart() -> None:
    seal = KEYS[False].file_seal(SALT)
    assert seal.seal(1, b"ab", memoryview(b"c")) != seal.seal(1, b"a", memoryview(b"bc"))


def test_it_is_what_the_page_says() -> None:
    """AES-256-GCM and HMAC-SHA256 as everybody knows them, under the key of the file."""
    file_key = hmac.digest(b"k" * 32, b"spillway file key" + SALT, "sha256")
    body = memoryview(bytearray(b"what is hidden"))
    tag = KEYS[True].file_seal(SALT).seal(5 << 64 | 7, b"head", body)
    nonce = bytes([0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7])
    assert AESGCM(file_key).decrypt(nonce, bytes(body) + tag, b"head") == b"what is hidden"


def test_a_key_goes_through_a_pipe_and_a_salt_is_new() -> None:
    assert pickle.loads(pickle.dumps(KEYS[True])) == KEYS[True]
    assert len({new_salt() for _ in range(100)}) == 100
