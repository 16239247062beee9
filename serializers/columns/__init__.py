"""The batch path: the twins of types that take thousands of values at once.

    values ──gather──> arrays ──put──> steps ──write_rows──> rows
    values <─scatter── arrays <──get── steps <─read_fields── rows

A `Column` (`column`) stands for one type: it turns a list of values into arrays, says in which steps these become the
bytes of values or of order keys, and does the same backwards. The bytes are those of the type's serializer and
comparator, which take one value at a time; and wherever a batch holds something out of the ordinary, or nobody wrote a
quicker way for a type, they are what does the work. `choice` knows the column of every type, `steps` holds what the
kernels of `serializers.row_kernels` follow, `rows` is the slow twin of the whole, a row at a time.
"""
