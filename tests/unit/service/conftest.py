"""What the tests of the service share."""

from __future__ import annotations

import pytest

from tests.support.recording_log import RecordingLog


@pytest.fixture
def recorded() -> RecordingLog:
    """A logger that keeps what it is told."""
    return RecordingLog.make()
