"""UUIDs, enums and flags: the whole suite, aliases, enums that Python orders, and members that were added later."""

from enum import KEEP, STRICT, Enum, Flag, IntEnum, IntFlag, StrEnum, auto
from functools import total_ordering
from typing import Any
from uuid import UUID, SafeUUID, uuid1, uuid4

import pytest
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError, IncompatibleTypeError, UnknownTypeError, ValueMismatchError
from serializers.types import enums
from serializers.types.identifiers import UUID_INFO, EnumInfo
from serializers.views import BytesInput
from tests.test_serializers.conformance import check_type, conforms, survives_garbage


class Size(Enum):
    SMALL = "s"
    LARGE = "l"
    BIG = "l"  # noqa: PIE796
    HUGE = (1, 2)


class Level(IntEnum):
    HIGH = 7
    LOW = -1
    MIDDLE = 3
    TOP = 7


class Colour(StrEnum):
    RED = auto()
    GREEN = auto()
    BLUE = auto()


@total_ordering
class Weight(Enum):
    """As users write it: an order by value, and some members weigh the same."""

    HEAVY = ("h", 2)
    LIGHT = ("l", 1)
    ALSO_HEAVY = ("a", 2)

    def __lt__(self, other: "Weight") -> bool:
        return self.value[1] < other.value[1]


class Moody(Enum):
    """Its order fails."""

    ONE = 1
    TWO = 2

    def __lt__(self, other: "Moody") -> bool:
        raise AttributeError("not today")


class Equal(Enum):
    """Its members have no hash."""

    A = 1
    B = 2

    def __eq__(self, other: object) -> bool:
        return self is other


class Nothing(Enum):
    pass


class Only(Enum):
    ONE = 1


class Right(Flag, boundary=STRICT):
    READ = auto()
    WRITE = auto()
    RUN = auto()
    ALL = READ | WRITE | RUN


class Mode(IntFlag, boundary=KEEP):
    A = 1
    B = 4


class Far(Flag):
    NEAR = 1
    FAR = 1 << 80


MANY = Enum("MANY", [f"M{number}" for number in range(300)])  # type: ignore[misc]


# --- UUIDs


UUIDS = [
    UUID(int=0),
    UUID(int=2**128 - 1),
    UUID(int=1),
    UUID(int=1 << 127),
    uuid4(),
    UUID(bytes=uuid1().bytes),
    UUID(int=1),
]


def test_uuid() -> None:
    check_type(UUID_INFO, UUIDS, wrong=(str(UUIDS[4]), UUIDS[4].bytes, UUIDS[4].int, object()), damage=True)


test_uuid_by_chance = conforms(UUID_INFO, st.uuids())
test_uuid_survives_garbage = survives_garbage(UUID_INFO)


def test_the_bytes_of_a_uuid_are_its_own() -> None:
    value = UUID("12345678-1234-5678-9abc-def012345678")
    assert (
        UUID_INFO.create_serializer().to_bytes(value) == UUID_INFO.create_comparator().order_key(value) == value.bytes
    )


def test_where_a_uuid_was_made_is_not_kept() -> None:
    value = UUID(int=5, is_safe=SafeUUID.safe)
    found = UUID_INFO.create_serializer().from_bytes(UUID_INFO.create_serializer().to_bytes(value))
    assert found == value and found.is_safe is SafeUUID.unknown


def test_a_uuid_of_a_subclass_comes_back_plain() -> None:
    class Other(UUID):
        pass

    found = UUID_INFO.create_serializer().from_bytes(UUID_INFO.create_serializer().to_bytes(Other(int=5)))
    assert type(found) is UUID and found == UUID(int=5)


# --- enums


@pytest.mark.parametrize("cls", [Size, Only, Equal, Moody, Nothing, MANY])
def test_enums_go_by_declaration(cls: Any) -> None:
    check_type(
        EnumInfo(cls), [*cls, *cls], wrong=("s", 1, Level.LOW, object()), python_key=list(cls).index, damage=True
    )


@pytest.mark.parametrize("cls", [Level, Colour, Weight])
def test_enums_that_python_orders_go_by_that(cls: Any) -> None:
    check_type(EnumInfo(cls), [*cls, *reversed(cls)], wrong=("red", 7, ("h", 2), Size.SMALL), damage=True)


def test_an_alias_is_its_member() -> None:
    serializer = EnumInfo(Size).create_serializer()
    assert serializer.to_bytes(Size.BIG) == serializer.to_bytes(Size.LARGE) == b"\1"
    assert serializer.from_bytes(b"\1") is Size.LARGE and serializer.from_bytes(b"\2") is Size.HUGE
    with pytest.raises(CorruptRecordError, match="Size has 3 members, none at place 3"):
        serializer.from_bytes(b"\3")


def test_the_bytes_are_places() -> None:
    serializer, order_key = EnumInfo(Level).create_serializer(), EnumInfo(Level).create_comparator().order_key
    assert [serializer.to_bytes(level) for level in Level] == [b"\0", b"\1", b"\2"]
    assert [order_key(level) for level in Level] == [b"\0\2", b"\0\0", b"\0\1"]
    assert [EnumInfo(Size).create_comparator().order_key(size) for size in Size] == [b"\0\0", b"\0\1", b"\0\2"]
    assert EnumInfo(MANY).create_serializer().to_bytes(MANY.M299) == b"\xab\x02"
    assert EnumInfo(MANY).create_serializer().length is None and serializer.length == 1


def test_members_of_equal_weight_are_equal() -> None:
    comparator = EnumInfo(Weight).create_comparator()
    assert comparator.compare(Weight.HEAVY, Weight.ALSO_HEAVY) == 0 and not comparator.is_invertible
    assert comparator.order_key(Weight.HEAVY) == comparator.order_key(Weight.ALSO_HEAVY) == b"\0\1"
    serializer = EnumInfo(Weight).create_serializer()
    assert serializer.from_bytes(serializer.to_bytes(Weight.ALSO_HEAVY)) is Weight.ALSO_HEAVY


def test_a_key_of_no_member_is_corrupt() -> None:
    with pytest.raises(CorruptRecordError):
        EnumInfo(Level).create_comparator().read_key(BytesInput(b"\0\3"))


def versions(*orders: dict[str, Any], base: Any = Enum) -> list[EnumInfo]:
    return [EnumInfo(base("Version", members)) for members in orders]


def test_members_may_be_added_behind() -> None:
    old, new = versions({"A": 1, "B": 2}, {"A": 1, "B": 2, "C": 3})
    new.check_can_read(old.snapshot())
    with pytest.raises(IncompatibleTypeError, match="Leave members where they are"):
        old.check_can_read(new.snapshot())


@pytest.mark.parametrize("members", [{"B": 2, "A": 1}, {"A": 1}, {"A": 1, "C": 3, "B": 2}, {"Z": 1, "B": 2}])
def test_members_must_not_move_go_or_change_their_name(members: dict[str, int]) -> None:
    old, new = versions({"A": 1, "B": 2}, members)
    with pytest.raises(IncompatibleTypeError):
        new.check_can_read(old.snapshot())


def test_a_member_that_moves_others_in_the_order_of_keys_is_refused() -> None:
    old, behind, between = versions({"A": 1, "B": 5}, {"A": 1, "B": 5, "C": 9}, {"A": 1, "B": 5, "C": 3}, base=IntEnum)
    behind.check_can_read(old.snapshot())
    with pytest.raises(IncompatibleTypeError):
        between.check_can_read(old.snapshot())


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enums, "_MEMBERS_MAX", 2)  # it takes Python ten seconds to make an Enum of 65,537
    EnumInfo(Moody)
    with pytest.raises(UnknownTypeError, match=r"Level has 3 members, more than 2\. Declare str or int"):
        EnumInfo(Level)


def test_errors_name_the_cure() -> None:
    with pytest.raises(ValueMismatchError, match=r"^'s' \(str\) is not Size\. Convert it with Size\(value\)$"):
        EnumInfo(Size).create_serializer().to_bytes("s")
    assert EnumInfo(Size).name == "Size" and EnumInfo(Size) == EnumInfo(Size) != EnumInfo(Level)


# --- flags


def test_flags_go_by_number() -> None:
    values = [*Right, Right.ALL, Right(0), Right.READ | Right.RUN, Right.READ]
    wrong = (1, "READ", Mode.A, None.__class__, object())
    check_type(EnumInfo(Right), values, wrong=wrong, python_key=lambda value: value.value, damage=True)
    check_type(EnumInfo(Far), [Far.NEAR, Far.FAR, Far.NEAR | Far.FAR, Far(0)], python_key=lambda value: value.value)


def test_int_flags_keep_bits_that_have_no_name() -> None:
    check_type(EnumInfo(Mode), [*Mode, Mode(0), Mode.A | Mode.B, Mode(2), Mode(1 << 70)], wrong=(1, Right.READ))


def test_no_combination_is_corrupt() -> None:
    for number in (b"\x81\x08", b"\x7f\xfe", b"\x82\x01\x00"):
        with pytest.raises(CorruptRecordError, match="is no combination of Right"):
            EnumInfo(Right).create_serializer().from_bytes(number)
    with pytest.raises(CorruptRecordError, match="it makes"):
        EnumInfo(Mode).create_serializer().from_bytes(b"\x7f\xfe")


def test_flags_may_be_added_but_keep_their_numbers() -> None:
    old, more, moved = versions({"A": 1, "B": 2}, {"B": 2, "C": 4, "A": 1}, {"A": 2, "B": 1}, base=Flag)
    more.check_can_read(old.snapshot())
    for new in (old, moved):
        with pytest.raises(IncompatibleTypeError):
            new.check_can_read(more.snapshot())


test_enum_by_chance = conforms(EnumInfo(Level), st.sampled_from(Level))
test_flag_by_chance = conforms(EnumInfo(Right), st.integers(0, 7).map(Right), python_key=lambda value: value.value)
test_enum_survives_garbage = survives_garbage(EnumInfo(Size))
test_flag_survives_garbage = survives_garbage(EnumInfo(Right))
