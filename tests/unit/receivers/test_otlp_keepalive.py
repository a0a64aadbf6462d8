"""`keepalive` of one gRPC connection, by a clock that is told."""

from __future__ import annotations

import pytest

from collector.config.types import Duration
from collector.receivers.otlp.config import (
    KeepaliveConfig,
    KeepaliveEnforcementConfig,
    KeepaliveServerConfig,
)
from collector.receivers.otlp.grpc_keepalive import Keepalive


def keepalive(**server: Duration) -> Keepalive:
    return Keepalive(KeepaliveConfig(server_parameters=KeepaliveServerConfig(**server)), 100.0)


@pytest.mark.parametrize(
    ("with_calls", "permitted", "every_s", "ended"),
    [
        (True, False, 10.0, False),
        (True, False, 9.9, True),
        (False, True, 10.0, False),
        (False, True, 9.9, True),
        (False, False, 7200.0, False),
        (False, False, 7199.0, True),
    ],
)
def test_the_fourth_ping_in_a_row_that_comes_too_early_ends_the_connection(
    with_calls: bool, permitted: bool, every_s: float, ended: bool
) -> None:
    """A client without calls may ping every two hours, unless it is permitted to ping as others do."""
    policy = KeepaliveEnforcementConfig(min_time=Duration(10.0), permit_without_stream=permitted)
    one = Keepalive(KeepaliveConfig(enforcement_policy=policy), 0.0)
    told = [one.pinged_too_often(number * every_s, with_calls=with_calls) for number in range(4)]
    assert told == [False, False, False, ended]


def test_a_silent_client_is_pinged_once_and_gone_when_nothing_comes() -> None:
    """Whatever it sends is a sign of life."""
    one = keepalive(time=Duration(30.0), timeout=Duration(5.0))
    assert one.next_look(100.0, None, leaving=False) == 130.0
    assert not one.is_to_ping(129.0, 100.0)
    assert one.is_to_ping(130.0, 100.0)
    assert not one.is_to_ping(131.0, 100.0)
    assert one.next_look(100.0, None, leaving=False) == 135.0
    assert not one.is_gone(134.0, 100.0)
    assert one.is_gone(135.0, 100.0)
    assert not one.is_gone(135.0, 134.5)
    assert one.next_look(134.5, None, leaving=False) == 164.5
    assert one.is_to_ping(164.5, 134.5)


def test_a_connection_reaches_its_age_with_calls_and_its_idleness_without() -> None:
    """Each by its name; who was told already needs no look for it."""
    one = keepalive(max_connection_age=Duration(60.0), max_connection_idle=Duration(20.0))
    assert one.outlived(119.0, 99.5) is None
    assert one.outlived(119.0, 99.0) == "max_connection_idle"
    assert one.outlived(159.0, None) is None
    assert one.outlived(160.0, None) == "max_connection_age"
    assert one.next_look(150.0, None, leaving=False) == 160.0
    assert one.next_look(100.0, 100.0, leaving=False) == 120.0
    assert one.next_look(150.0, 100.0, leaving=True) == 7350.0
