"""The version of the package, the only place where it is written; and what it was built with."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from typing import Final

VERSION: Final = "0.1.0"


def native() -> bool:
    """Whether the compiled encoders are there; without them everything works, slower."""
    return find_spec("collector._native") is not None


def version_text() -> str:
    """What `--version` says."""
    compiled = "yes" if native() else "no"
    return f"collector {VERSION}, native {compiled}, Python {platform.python_version()}"
