def items_in_order(
    signal: int,
    body: bytes,
    time_min: int,
    time_max: int,
    depth_max: int,
    envelopes_max: int,
    messages_max: int,
) -> int: ...
