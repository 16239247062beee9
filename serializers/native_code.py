"""Machine code from the cache, called without the compiler.

numba takes a quarter of a second and 90 MiB to start, and is needed only to compile. What it compiled is an ordinary
function in an ordinary object file, so a process that finds all kernels in the cache loads them through llvmlite alone:

    object file ──llvmlite──> address ──ctypes──> a Python callable that lets go of the GIL

A compiled function takes, as numba's calling convention has it, where to put the result, where to put an exception
(kernels raise none), and its arguments: a scalar as it is, an array as {its two owners, items, bytes an item, data,
shape, strides}.
"""

import ctypes
import re
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numpy as np

_SCALARS: dict[str, Any] = {
    "boolean": ctypes.c_bool,
    "uint8": ctypes.c_uint8,
    "int32": ctypes.c_int32,
    "uint32": ctypes.c_uint32,
    "int64": ctypes.c_int64,
    "uint64": ctypes.c_uint64,
    "float64": ctypes.c_double,
}
_TYPE = re.compile(r"\s*(?P<scalar>[a-z]+\d*)(?:\[(?P<dimensions>[^\]]*)\])?\s*")
_OWNERS = (0, 0)
"""An array's memory is kept alive by whoever calls; a kernel keeps nothing."""


class Argument(NamedTuple):
    """A scalar (`dimensions` is 0) or a C-contiguous array of `scalar`."""

    scalar: str
    dimensions: int


class Signature(NamedTuple):
    """What a kernel returns (several values: a tuple) and takes."""

    returns: tuple[str, ...]
    is_tuple: bool
    arguments: tuple[Argument, ...]


def parse_signature(text: str) -> Signature:
    """A signature as numba writes it, of scalars, C-contiguous arrays and one tuple of scalars."""
    returned, _, rest = text.removeprefix("Tuple((").partition("))" if text.startswith("Tuple((") else "(")
    rest = rest.lstrip("(").removesuffix(")")
    arguments = [_TYPE.fullmatch(part) for part in re.split(r",(?![^\[]*\])", rest)] if rest.strip() else []
    found = []
    for match in arguments:
        assert match is not None and match["scalar"] in _SCALARS, text
        dimensions = match["dimensions"]
        assert dimensions is None or dimensions.endswith("::1"), f"{text}: arrays are C-contiguous"
        found.append(Argument(match["scalar"], 0 if dimensions is None else dimensions.count(",") + 1))
    returns = () if returned == "void" else tuple(part.strip() for part in returned.split(","))
    assert all(part in _SCALARS for part in returns), text
    return Signature(returns, text.startswith("Tuple(("), tuple(found))


class _Engine:
    """LLVM's linker of code in memory: one for the process."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_triple(llvm.get_process_triple())
        self._jit = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target.create_target_machine())
        self._lock = threading.Lock()

    def load(self, symbol: str, code: bytes) -> int:
        """The address of a function of an object file."""
        with self._lock:
            self._jit.add_object_file(llvm.ObjectFileRef.from_data(code))
            self._jit.finalize_object()
            return int(self._jit.get_function_address(symbol))


_engine: _Engine | None = None


def processor() -> str:
    """All that machine code depends on beside its source."""
    features = llvm.get_host_cpu_features().flatten()
    return f"{llvm.get_process_triple()} {llvm.get_host_cpu_name()} {features} llvmlite {llvmlite.__version__}"


def load(symbol: str, code: bytes, signature: Signature) -> Callable[..., Any]:
    """The function `symbol` of an object file, as a Python callable that checks the types of arrays."""
    global _engine
    if _engine is None:
        _engine = _Engine()
    flat: list[Any] = []
    for argument in signature.arguments:
        scalar = _SCALARS[argument.scalar]
        flat += [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 2 + [ctypes.c_void_p] if argument.dimensions else [scalar]
        flat += [ctypes.c_int64] * (2 * argument.dimensions)
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *flat)
    return _callable(prototype(_engine.load(symbol, code)), symbol, signature)


def _callable(function: Any, symbol: str, signature: Signature) -> Callable[..., Any]:
    adders = [_adder(argument) for argument in signature.arguments]
    result_type, unpack = _result(signature)

    def call(*arguments: Any) -> Any:
        flat: list[Any] = []
        for add, argument in zip(adders, arguments, strict=True):
            add(flat, argument)
        result, problem = result_type(), ctypes.c_void_p()
        status = function(ctypes.addressof(result), ctypes.addressof(problem), *flat)
        assert status == 0, f"{symbol} ended with status {status}"
        return unpack(result)

    return call


def _adder(argument: Argument) -> Callable[[list[Any], Any], None]:
    if argument.dimensions:
        return _array_adder(np.dtype(argument.scalar), argument.dimensions)
    convert: Any = float if argument.scalar == "float64" else int
    return lambda flat, value: flat.append(convert(value))


def _array_adder(dtype: np.dtype[Any], dimensions: int) -> Callable[[list[Any], Any], None]:
    item_bytes = dtype.itemsize

    def add(flat: list[Any], array: Any) -> None:
        if array.dtype != dtype or array.ndim != dimensions or not array.flags.c_contiguous:
            raise TypeError(f"a C-contiguous {dimensions}-d array of {dtype} wanted, not {array.dtype} {array.strides}")
        address = array.__array_interface__["data"][0]
        flat += (*_OWNERS, array.size, item_bytes, address, *array.shape, *array.strides)

    return add


def _result(signature: Signature) -> tuple[Any, Callable[[Any], Any]]:
    if not signature.returns:
        return ctypes.c_void_p, lambda _: None
    if not signature.is_tuple:
        return _SCALARS[signature.returns[0]], lambda result: result.value
    names = [f"value{i}" for i in range(len(signature.returns))]
    fields = [(name, _SCALARS[scalar]) for name, scalar in zip(names, signature.returns, strict=True)]
    structure = type("Result", (ctypes.Structure,), {"_fields_": fields})
    return structure, lambda result: tuple(getattr(result, name) for name in names)
