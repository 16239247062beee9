"""From a Python function to an object file: the only place where numba works. Imported when a kernel must be compiled.

numba compiles the function and everything it calls into one module; the wrappers that numba would call it through are
cut off, so that what is left needs nothing but itself and memcpy.
"""

import sys
from types import FunctionType
from typing import Any

import llvmlite.binding as llvm
import numba
from numba.extending import intrinsic

_KNOWN_SYMBOLS = {"memcpy", "memmove", "memset"}
"""What the C library of every process has, and LLVM may call for a loop."""

_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False}
"""Without numba's runtime: arrays are not counted, because whoever calls a kernel keeps them."""


def compile_kernel(function: FunctionType, signature: str, symbol: str) -> bytes:
    """An object file in which `symbol` is `function`, compiled for this processor."""
    compiled: Any = numba.njit(signature, **_OPTIONS)(_with_numba_globals(function))
    (result,) = compiled.overloads.values()
    module = llvm.parse_assembly(result.library.get_llvm_str())
    module.get_function(result.fndesc.llvm_func_name).name = symbol
    for each in module.functions:
        if not each.is_declaration and each.name != symbol:
            each.linkage = "internal"
    return bytes(_machine().emit_object(_without_the_rest(module, symbol)))


def make_helper(function: FunctionType) -> Any:
    """What numba compiles into a kernel that calls `function`."""
    return numba.njit(**_OPTIONS)(_with_numba_globals(function))


def make_intrinsic(function: FunctionType) -> Any:
    """What numba writes into a kernel that calls for a machine instruction."""
    sys.modules[function.__module__].load_vocabulary()
    return intrinsic(function)


def _with_numba_globals(function: FunctionType) -> FunctionType:
    """The same function, with numba's twin of every helper and intrinsic that it names."""
    known = dict(function.__globals__)
    for name in function.__code__.co_names:
        if hasattr(known.get(name), "for_numba"):
            known[name] = known[name].for_numba()
    twin = FunctionType(function.__code__, known, function.__name__, function.__defaults__, function.__closure__)
    twin.__module__, twin.__qualname__ = function.__module__, function.__qualname__
    return twin


def _machine() -> Any:
    target = llvm.Target.from_triple(llvm.get_process_triple())
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, reloc="default", codemodel="jitdefault"
    )


def _without_the_rest(module: Any, symbol: str) -> Any:
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(_machine(), llvm.create_pipeline_tuning_options(speed_level=3)))
    wanted = {each.name for each in module.functions if each.is_declaration and not each.name.startswith("llvm.")}
    assert wanted <= _KNOWN_SYMBOLS, f"{symbol} calls {wanted - _KNOWN_SYMBOLS}: kernels allocate and raise nothing"
    return module
