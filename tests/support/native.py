"""The compiled modules, in tests of them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest


def compiled(name: str) -> Any:
    """`collector._native.<name>`; skips the module that asks where there was no compiler to build it."""
    module: ModuleType = pytest.importorskip(
        f"collector._native.{name}", reason="built without a C compiler: there is only the reference to test"
    )
    return module
