"""Fixtures and settings for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

pytest_plugins = ("tests.support.balance", "tests.support.postgres")

# How fast an example is made or run says something about the machine, never about the code under test.
settings.register_profile(
    "collector", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("collector")
