"""A buffer that grows, and what every step of the encoder answers.

Whoever writes asks for room first, with `reserve`, and writes no more than that before it asks again.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from collector._native.reader cimport likely_


cdef enum Outcome:
    DONE = 0
    DOUBT = 1  # not understood, or too unusual: the reference encoder's work
    NO_MEMORY = 2


cdef enum:
    BUFFER_SIZE_MIN = 1 << 12
    # log2 of more than a batch can become, and far from where sizes overflow.
    BUFFER_SIZE_MAX_BITS = 40


cdef struct Buffer:
    uint8_t *data
    size_t size
    size_t capacity


cdef inline Outcome grow(Buffer *buffer, size_t extra) noexcept nogil:
    """Make room for `extra` bytes more by moving."""
    cdef size_t capacity
    cdef void *moved
    if extra > (<size_t>1 << BUFFER_SIZE_MAX_BITS) - buffer.size:
        return NO_MEMORY
    capacity = buffer.capacity if buffer.capacity > BUFFER_SIZE_MIN else <size_t>BUFFER_SIZE_MIN
    while capacity < buffer.size + extra:
        capacity *= 2
    moved = realloc(buffer.data, capacity)
    if moved == NULL:
        return NO_MEMORY
    buffer.data = <uint8_t *>moved
    buffer.capacity = capacity
    return DONE


cdef inline Outcome reserve(Buffer *buffer, size_t extra) noexcept nogil:
    """Make sure that `extra` bytes can be written behind what is there. Pointers into the buffer may become invalid."""
    if likely_(buffer.capacity - buffer.size >= extra):
        return DONE
    return grow(buffer, extra)


cdef inline Outcome append(Buffer *buffer, const void *data, size_t size) noexcept nogil:
    """Write `size` bytes."""
    if reserve(buffer, size) != DONE:
        return NO_MEMORY
    if size:
        memcpy(buffer.data + buffer.size, data, size)
    buffer.size += size
    return DONE


cdef inline Outcome append_byte(Buffer *buffer, uint8_t byte) noexcept nogil:
    """Write one byte."""
    if reserve(buffer, 1) != DONE:
        return NO_MEMORY
    buffer.data[buffer.size] = byte
    buffer.size += 1
    return DONE


cdef inline void release(Buffer *buffer) noexcept nogil:
    """Give the memory back; the buffer is empty and can be used again."""
    free(buffer.data)
    buffer.data = NULL
    buffer.size = 0
    buffer.capacity = 0
