"""The version of the package, the only place where it is written; and what it was built with."""

from __future__ import annotations

import platform
from functools import cache
from importlib import import_module
from typing import Final

from collector.config.sources import native_wanted

VERSION: Final = "0.1.0"
_COMPILED: Final = ("collector._native.encode", "collector._native.scan")


@cache
def native() -> bool:
    """Whether the compiled modules are there, work on this machine, and are wanted (`COLLECTOR_NATIVE`).

    Without them everything works, slower. All or none are used.
    """
    if not native_wanted():
        return False
    try:
        for name in _COMPILED:
            import_module(name)
    except ImportError:
        return False
    return True


def version_text() -> str:
    """What `--version` says."""
    compiled = "yes" if native() else "no"
    return f"collector {VERSION}, native {compiled}, Python {platform.python_version()}"
