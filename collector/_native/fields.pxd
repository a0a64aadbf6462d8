"""Runs: where in a message the elements of a repeated field are, without a list of them."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from collector._native.reader cimport Reader


cdef struct Run:
    # From the first element's tag to the last one's end; other fields may lie between. NULL: there is none.
    const uint8_t *first
    const uint8_t *last
    # Bytes of the elements with their tags: less than what they span if other fields lie between.
    size_t size


cdef inline void note(Run *run, const uint8_t *start, const uint8_t *end) noexcept nogil:
    """Note an element."""
    if run.first == NULL:
        run.first = start
        run.size = 0
    run.last = end
    run.size += end - start


cdef inline bint contiguous(const Run *run) noexcept nogil:
    """Whether nothing lies between the elements."""
    return run.size == <size_t>(run.last - run.first)


cdef inline Reader reader_of_run(Run run) noexcept nogil:
    """Everything from the first element to the last."""
    cdef Reader reader
    reader.at = run.first
    reader.end = run.last
    return reader
