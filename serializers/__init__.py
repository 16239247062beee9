"""Values to bytes and back: where records are, what their keys are, and how keys compare."""

from serializers.layouts import SLACK_BYTES, LayoutError, RecordLayout, fixed, lines

__all__ = ["SLACK_BYTES", "LayoutError", "RecordLayout", "fixed", "lines"]
