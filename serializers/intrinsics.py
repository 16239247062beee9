"""Machine instructions that numba has no word for, as inlined LLVM: the vocabulary of every kernel.

Records live in many buffers, so a record is named by its address: an unsigned 64-bit number. Nothing here checks a
bound or holds a reference; the door in front of each kernel does. A vector may pass the last byte it needs by less
than `serializers.SLACK_BYTES`, so every buffer keeps that much room after its last record.
"""

from typing import TYPE_CHECKING

from serializers.kernel_cache import intrinsic

if TYPE_CHECKING:
    from llvmlite import ir
    from numba import types


def load_vocabulary() -> None:
    """Import what these functions are written in. Only a process that compiles needs it."""
    global ir, types, _I1, _I8, _I32, _I64, _ADDRESS
    from llvmlite import ir
    from numba import types

    _I1, _I8, _I32, _I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
    _ADDRESS = types.uint64


def _pointer(builder, address, element):
    return builder.inttoptr(address, element.as_pointer())


def _call(builder, name, result, arguments):
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
    return builder.call(function, arguments)


@intrinsic
def load_byte(typing_context, address):
    """The byte at `address`."""

    def generate(context, builder, signature, arguments):
        return builder.zext(builder.load(_pointer(builder, arguments[0], _I8)), _I64)

    return types.uint64(_ADDRESS), generate


@intrinsic
def load_half(typing_context, address):
    """The 4 bytes at `address` as a native unsigned number, at any alignment."""

    def generate(context, builder, signature, arguments):
        return builder.zext(builder.load(_pointer(builder, arguments[0], _I32), align=1), _I64)

    return types.uint64(_ADDRESS), generate


@intrinsic
def load_word(typing_context, address):
    """The 8 bytes at `address` as a native unsigned word, at any alignment."""

    def generate(context, builder, signature, arguments):
        return builder.load(_pointer(builder, arguments[0], _I64), align=1)

    return types.uint64(_ADDRESS), generate


@intrinsic
def load_big_endian(typing_context, address):
    """The 8 bytes at `address` as an unsigned big-endian word: words then compare as the bytes do."""

    def generate(context, builder, signature, arguments):
        word = builder.load(_pointer(builder, arguments[0], _I64), align=1)
        return _call(builder, "llvm.bswap.i64", _I64, [word])

    return types.uint64(_ADDRESS), generate


@intrinsic
def store_byte(typing_context, address, value):
    """Write the lowest byte of `value`."""

    def generate(context, builder, signature, arguments):
        builder.store(builder.trunc(arguments[1], _I8), _pointer(builder, arguments[0], _I8))
        return context.get_dummy_value()

    return types.void(_ADDRESS, types.uint64), generate


@intrinsic
def store_half(typing_context, address, value):
    """Write the lowest 4 bytes of `value`, at any alignment."""

    def generate(context, builder, signature, arguments):
        builder.store(builder.trunc(arguments[1], _I32), _pointer(builder, arguments[0], _I32), align=1)
        return context.get_dummy_value()

    return types.void(_ADDRESS, types.uint64), generate


@intrinsic
def store_word(typing_context, address, value):
    """Write the 8 bytes of `value`, at any alignment."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], _pointer(builder, arguments[0], _I64), align=1)
        return context.get_dummy_value()

    return types.void(_ADDRESS, types.uint64), generate


@intrinsic
def swap_bytes(typing_context, word):
    """The bytes of `word` the other way round."""

    def generate(context, builder, signature, arguments):
        return builder.bswap(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def copy_record(typing_context, target, source, length):
    """Copy at least one and at least `length` bytes, 32 at a time: quicker than memcpy for records.

    Reads and writes up to 31 bytes more than `length`.
    """

    def generate(context, builder, signature, arguments):
        target, source, length = arguments
        vector = ir.VectorType(_I8, 32)
        before = builder.block
        loop, done = builder.append_basic_block("copy"), builder.append_basic_block("copied")
        builder.branch(loop)
        builder.position_at_end(loop)
        offset = builder.phi(_I64)
        offset.add_incoming(ir.Constant(_I64, 0), before)
        lanes = builder.load(_pointer(builder, builder.add(source, offset), vector), align=1)
        builder.store(lanes, _pointer(builder, builder.add(target, offset), vector), align=1)
        following = builder.add(offset, ir.Constant(_I64, 32))
        offset.add_incoming(following, loop)
        builder.cbranch(builder.icmp_unsigned("<", following, length), loop, done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(_ADDRESS, _ADDRESS, types.uint64), generate


@intrinsic
def copy_bytes(typing_context, target, source, length):
    """memcpy: exact, and quickest for whole blocks. The two must not overlap."""

    def generate(context, builder, signature, arguments):
        target, source, length = arguments
        operands = [
            _pointer(builder, target, _I8),
            _pointer(builder, source, _I8),
            length,
            ir.Constant(_I1, 0),
        ]
        _call(builder, "llvm.memcpy.p0.p0.i64", ir.VoidType(), operands)
        return context.get_dummy_value()

    return types.void(_ADDRESS, _ADDRESS, types.uint64), generate


@intrinsic
def match_mask(typing_context, address, byte):
    """Bit i is set where the byte at `address + i` equals `byte`, for 64 bytes."""

    def generate(context, builder, signature, arguments):
        address, byte = arguments
        vector = ir.VectorType(_I8, 64)
        undefined = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(undefined, byte, ir.Constant(_I32, 0))
        splat = builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, 64), [0] * 64))
        lanes = builder.load(_pointer(builder, address, vector), align=1)
        return builder.bitcast(builder.icmp_unsigned("==", lanes, splat), _I64)

    return types.uint64(_ADDRESS, types.uint8), generate


@intrinsic
def count_trailing_zeros(typing_context, word):
    """Zero bits below the lowest set bit; 64 for zero."""

    def generate(context, builder, signature, arguments):
        return _call(builder, "llvm.cttz.i64", _I64, [arguments[0], ir.Constant(_I1, 0)])

    return types.uint64(types.uint64), generate


@intrinsic
def count_leading_zeros(typing_context, word):
    """Zero bits above the highest set bit; 64 for zero."""

    def generate(context, builder, signature, arguments):
        return _call(builder, "llvm.ctlz.i64", _I64, [arguments[0], ir.Constant(_I1, 0)])

    return types.uint64(types.uint64), generate


@intrinsic
def count_ones(typing_context, word):
    """Set bits."""

    def generate(context, builder, signature, arguments):
        return _call(builder, "llvm.ctpop.i64", _I64, [arguments[0]])

    return types.uint64(types.uint64), generate


@intrinsic
def multiply_high(typing_context, left, right):
    """The upper 64 bits of the 128-bit product of two unsigned words."""

    def generate(context, builder, signature, arguments):
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), _I64)

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def prefetch(typing_context, address):
    """Ask the cache for the line at `address`; any address is safe."""

    def generate(context, builder, signature, arguments):
        hints = [ir.Constant(_I32, 0), ir.Constant(_I32, 3), ir.Constant(_I32, 1)]  # to read, to keep, data
        _call(builder, "llvm.prefetch.p0", ir.VoidType(), [_pointer(builder, arguments[0], _I8), *hints])
        return context.get_dummy_value()

    return types.void(_ADDRESS), generate
