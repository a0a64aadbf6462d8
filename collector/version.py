"""The version of the package: the only place where it is written."""

from typing import Final

VERSION: Final = "0.1.0"
