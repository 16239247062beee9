"""Where type information comes from: hints, values, functions, Arrow schemas, and what users register."""

from serializers.types.arrow_types import type_info_of_arrow
from serializers.types.function_hints import type_info_of_function
from serializers.types.hints import type_info_of
from serializers.types.registry import register_type, unregister_type
from serializers.types.samples import type_info_of_values

__all__ = [
    "register_type",
    "type_info_of",
    "type_info_of_arrow",
    "type_info_of_function",
    "type_info_of_values",
    "unregister_type",
]
