"""Rows in binary COPY format to Python tuples, as the reference encoder has them."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stddef cimport size_t
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t

from collector._native.columns cimport ARRAY_ELEMENT_SIZE, ARRAY_HEAD_SIZE, EPOCH_US
from collector._native.reader cimport double_of_bits, load_be32, load_be64


cdef enum ColumnKind:
    # `tables.Kind`, as far as rows differ.
    COLUMN_TIME
    COLUMN_INT16
    COLUMN_INT32
    COLUMN_INT64
    COLUMN_FLOAT64
    COLUMN_BOOL
    COLUMN_TEXT
    COLUMN_UUID
    COLUMN_INT64_ARRAY
    COLUMN_FLOAT64_ARRAY


cdef inline object decode_array(const uint8_t *data, size_t size, bint doubles):
    """An array as a tuple."""
    cdef size_t head = ARRAY_HEAD_SIZE - 4
    cdef size_t index
    cdef const uint8_t *element
    if size < head or (size - head) % ARRAY_ELEMENT_SIZE:
        raise ValueError("not an array of numbers")
    values = []
    for index in range((size - head) // ARRAY_ELEMENT_SIZE):
        element = data + head + index * ARRAY_ELEMENT_SIZE + 4
        if doubles:
            values.append(double_of_bits(load_be64(element)))
        else:
            values.append(<int64_t>load_be64(element))
    return tuple(values)


cdef inline object decode_value(const uint8_t *data, size_t size, ColumnKind kind):
    """One value that is not NULL."""
    if kind == COLUMN_TEXT:
        return PyUnicode_DecodeUTF8(<const char *>data, <Py_ssize_t>size, NULL)
    if kind == COLUMN_UUID:
        return PyBytes_FromStringAndSize(<const char *>data, <Py_ssize_t>size)
    if kind == COLUMN_INT64_ARRAY or kind == COLUMN_FLOAT64_ARRAY:
        return decode_array(data, size, kind == COLUMN_FLOAT64_ARRAY)
    if size == 8:
        if kind == COLUMN_FLOAT64:
            return double_of_bits(load_be64(data))
        if kind == COLUMN_TIME:
            return <int64_t>load_be64(data) + EPOCH_US
        if kind == COLUMN_INT64:
            return <int64_t>load_be64(data)
    elif size == 4 and kind == COLUMN_INT32:
        return <int32_t>load_be32(data)
    elif size == 2 and kind == COLUMN_INT16:
        return <int16_t>(<uint32_t>data[0] << 8 | data[1])
    elif size == 1 and kind == COLUMN_BOOL:
        return data[0] != 0
    raise ValueError("not of its column's kind")


cdef inline tuple decode_row(const uint8_t *row, size_t row_size, const uint8_t *kinds, size_t columns):
    """One row."""
    cdef const uint8_t *at = row + 2
    cdef const uint8_t *end = row + row_size
    cdef uint32_t size
    cdef size_t index
    cdef tuple values
    if row_size < 2 or <size_t>(<uint32_t>row[0] << 8 | row[1]) != columns:
        raise ValueError("not a row")
    values = PyTuple_New(<Py_ssize_t>columns)
    for index in range(columns):
        if end - at < 4:
            raise ValueError("not a row")
        size = load_be32(at)
        at += 4
        if size == 0xFFFFFFFF:
            value = None
        else:
            if <size_t>(end - at) < size:
                raise ValueError("not a row")
            value = decode_value(at, size, <ColumnKind>kinds[index])
            at += size
        Py_INCREF(value)
        PyTuple_SET_ITEM(values, <Py_ssize_t>index, value)
    return values
