# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Whether a request is in order as it is: the native twin of `wire.scan` where nothing has to change.

One pass over the bytes. Every rule of `wire/normalise.py` is asked, and answered by "nothing to do" or by doubt.
At the first doubt the pass ends, and the reference decides about the whole request: what comes out is the same by
definition. Doubt costs time, never correctness; so whatever is rare or hard to judge is doubted: fields with an
unexpected wire type, groups, messages that occur twice where one is meant and would be merged, deep nesting, long
lists of attributes.

Functions return whether all is in order. They read through `reader` only, take no memory, and nest at most
`DEPTH_MAX` deep, whatever the input.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from collector._native.reader cimport reader_of
from collector._native.scan_envelopes cimport Check, request
from collector._native.scan_logs cimport scope_logs
from collector._native.scan_metrics cimport scope_metrics
from collector._native.scan_parts cimport Pass
from collector._native.scan_traces cimport scope_spans


cdef enum:
    # AnyValues nested in each other. Each costs at most three messages: far below protobuf's 100.
    DEPTH_MAX = 16
    # Smaller requests are scanned in less time than it takes to give the GIL away and get it back.
    GIL_BYTES_MAX = 32768


def items_in_order(
    int signal,
    bytes body not None,
    uint64_t time_min,
    uint64_t time_max,
    uint32_t depth_max,
    uint64_t envelopes_max,
    uint64_t messages_max,
):
    """Return how many items `body` has if all is in order; -1 if in doubt.

    Args:
        signal: 0 for traces, 1 for metrics, 2 for logs.
        time_min, time_max: The window of times, in Unix nanoseconds, both included.
        depth_max: How many AnyValues may be nested in each other.
        envelopes_max: More resources, scopes and metrics are doubted.
        messages_max: More messages of whatever kind are doubted.
    """
    cdef Pass state
    cdef const uint8_t *data = body
    cdef size_t size = len(body)
    cdef Check contents = scope_spans if signal == 0 else scope_metrics if signal == 1 else scope_logs
    cdef bint in_order
    state.time_min = time_min
    state.time_max = time_max
    state.depth_max = min(depth_max, <uint32_t>DEPTH_MAX)
    state.envelopes = 0
    state.messages = 0
    state.items = 0
    if size <= GIL_BYTES_MAX:
        in_order = request(&state, reader_of(data, size), contents)
    else:
        with nogil:
            in_order = request(&state, reader_of(data, size), contents)
    if not in_order or state.envelopes > envelopes_max or state.messages > messages_max:
        return -1
    return state.items
