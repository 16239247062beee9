"""Values to bytes and back: where records are, what their keys are, and how keys compare."""

from serializers.layouts import LINE_INDEX_BYTES, SLACK_BYTES, LayoutError, RecordLayout, fixed, lines, rows

__all__ = ["LINE_INDEX_BYTES", "SLACK_BYTES", "LayoutError", "RecordLayout", "fixed", "lines", "rows"]
