"""str, bytes and bytearray.

Text is UTF-8, whose bytes stand in the order of code points: that of `sorted`. Lone surrogates take three bytes each,
so that every str comes back. Keys are the bytes themselves where nothing follows them, and closed otherwise.

A value of a subclass (a StrEnum, a numpy.str_) is taken as the text it is, and comes back as a plain str or bytes.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TypeVar

from serializers.errors import CorruptRecordError
from serializers.types.mismatch import mismatch
from serializers.types.order_bytes import read_closed, skip_closed, write_closed
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView, OutputView

Text = TypeVar("Text", str, bytes, bytearray)


class SizedSerializer(TypeSerializer[Text]):
    """The length in bytes as a varint, and the bytes."""

    @abstractmethod
    def encode(self, value: Text) -> bytes | bytearray:
        """The bytes of `value`, as they also order it. Raises ValueMismatchError if it is not of the type."""

    @abstractmethod
    def decode(self, data: bytes) -> Text:
        """The value. Raises CorruptRecordError for bytes that are none."""

    @abstractmethod
    def checked(self, value: Text) -> Text:
        """`value` as it will come back. Raises ValueMismatchError if it is not of the type."""

    def serialize(self, value: Text, out: OutputView) -> None:
        out.write_sized(self.encode(value))

    def deserialize(self, source: InputView) -> Text:
        return self.decode(source.read_sized())

    def skip(self, source: InputView) -> None:
        source.skip_sized()


class TextComparator(TypeComparator[Text]):
    """Order of code points, or of bytes; what begins another comes before it."""

    serializer: SizedSerializer[Text]
    is_invertible = True

    def compare(self, left: Text, right: Text) -> int:
        left, right = self.serializer.checked(left), self.serializer.checked(right)
        return self.directed((left > right) - (left < right))

    def compare_serialized(self, left: InputView, right: InputView) -> int:
        left_bytes, right_bytes = left.read_sized(), right.read_sized()
        return self.directed((left_bytes > right_bytes) - (left_bytes < right_bytes))

    def write_ascending(self, value: Text, out: bytearray, *, is_last: bool) -> None:
        if is_last:
            out += self.serializer.encode(value)
        else:
            write_closed(self.serializer.encode(value), out)

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> Text:
        return self.serializer.decode(source.read(source.remaining) if is_last else read_closed(source))

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        if is_last:
            source.skip(source.remaining)
        else:
            skip_closed(source)

    def put_normalized_key(self, value: Text, target: bytearray | memoryview, offset: int, length: int) -> None:
        # Nothing takes less than a byte, so what stands behind the first `length` cannot show.
        beginning = self.serializer.checked(value)[:length]
        target[offset : offset + length] = self.order_key(beginning)[:length].ljust(length, b"\0")


@dataclass(frozen=True)
class TextInfo(TypeInformation[str]):
    """The type of text."""

    @property
    def name(self) -> str:
        return "str"

    @property
    def python_type(self) -> type:
        return str

    def create_serializer(self) -> TextSerializer:
        return TextSerializer()

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> TextComparator[str]:
        return TextComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


class TextSerializer(SizedSerializer[str]):
    """UTF-8."""

    def checked(self, value: str) -> str:
        if isinstance(value, str):
            return value if type(value) is str else str.__str__(value)
        raise mismatch(value, "str", "Convert it with str(value), or value.decode() if it is bytes")

    def encode(self, value: str) -> bytes:
        return self.checked(value).encode("utf-8", "surrogatepass")

    def decode(self, data: bytes) -> str:
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise CorruptRecordError(f"a text of {len(data)} bytes is not UTF-8: {error}") from error


@dataclass(frozen=True)
class BytesInfo(TypeInformation[bytes]):
    """The type of byte strings."""

    @property
    def name(self) -> str:
        return "bytes"

    @property
    def python_type(self) -> type:
        return bytes

    def create_serializer(self) -> BytesSerializer:
        return BytesSerializer()

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> TextComparator[bytes]:
        return TextComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


class BytesSerializer(SizedSerializer[bytes]):
    """The bytes as they are."""

    def checked(self, value: bytes) -> bytes:
        if isinstance(value, bytes):
            return value if type(value) is bytes else bytes(memoryview(value))
        raise mismatch(value, "bytes", "Convert it with bytes(value), or value.encode() if it is a str")

    def encode(self, value: bytes) -> bytes:
        return self.checked(value)

    def decode(self, data: bytes) -> bytes:
        return data


@dataclass(frozen=True)
class BytearrayInfo(TypeInformation[bytearray]):
    """The type of byte strings that can be changed."""

    @property
    def name(self) -> str:
        return "bytearray"

    @property
    def python_type(self) -> type:
        return bytearray

    def create_serializer(self) -> BytearraySerializer:
        return BytearraySerializer()

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> TextComparator[bytearray]:
        return TextComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


class BytearraySerializer(SizedSerializer[bytearray]):
    """The bytes as they are."""

    def checked(self, value: bytearray) -> bytearray:
        if isinstance(value, bytearray):
            return value if type(value) is bytearray else bytearray(memoryview(value))
        raise mismatch(value, "bytearray", "Convert it with bytearray(value)")

    def encode(self, value: bytearray) -> bytearray:
        return self.checked(value)

    def decode(self, data: bytes) -> bytearray:
        return bytearray(data)


STR = TextInfo()
BYTES = BytesInfo()
BYTEARRAY = BytearrayInfo()
