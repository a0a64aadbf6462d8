"""Where the values of a configuration come from: environment and files. The only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

_FILE_SIZE_MAX: Final = 4 * 1024 * 1024  # a configuration or a secret; more is the wrong file
DATA_DIR: Final = "COLLECTOR_DATA_DIR"
_NATIVE: Final = "COLLECTOR_NATIVE"


UNREADABLE: Final = b""  # in place of the digest of a file that cannot be read


class SourceError(Exception):
    """Something cannot be read; the message says what and why, as a sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What `${env:…}` and `${file:…}` see. `read`: the files that were asked for, and a digest of what was in each."""

    variables: Mapping[str, str]
    read: dict[str, bytes] = field(default_factory=dict)

    def variable(self, name: str) -> str | None:
        """Return an environment variable.

        Raises:
            SourceError: its value is not UTF-8.
        """
        value = self.variables.get(name)
        if value is not None and not _is_unicode(value):
            raise SourceError(f"environment variable {name} is not UTF-8")
        return value

    def built_in(self, name: str) -> str | None:
        """Return the value of a variable that has one although nobody set it: `COLLECTOR_DATA_DIR`."""
        return self._data_directory() if name == DATA_DIR else None

    def file(self, path: str) -> str:
        """Return the text of a file; a relative path is relative to the working directory.

        Raises:
            SourceError: it cannot be read, is no UTF-8 text, or is larger than 4 MiB.
        """
        if "\0" in path:
            raise SourceError("a path cannot contain a NUL character")
        try:
            with Path(path).open("rb") as stream:
                content = stream.read(_FILE_SIZE_MAX + 1)
        except OSError as error:
            self.read[path] = UNREADABLE
            raise SourceError(f"{path}: {error.strerror or error}") from error
        self.read[path] = sha256(content).digest()
        if len(content) > _FILE_SIZE_MAX:
            raise SourceError(f"{path} is larger than 4 MiB")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise SourceError(f"{path} is not UTF-8 text (line {line})") from error

    def _data_directory(self) -> str | None:
        """Return the XDG state directory of the collector (XDG Base Directory Specification, 0.8)."""
        state = self.variables.get("XDG_STATE_HOME", "")
        if not Path(state).is_absolute():  # "If an implementation encounters a relative path, ignore it."
            home = self.variables.get("HOME", "")
            if not Path(home).is_absolute():
                return None
            state = f"{home}/.local/state"
        return f"{state}/collector" if _is_unicode(state) else None


def digest(path: str) -> bytes:
    """The digest that `Surroundings.file` would note for a file now."""
    surroundings = Surroundings({})
    with suppress(SourceError):
        surroundings.file(path)
    return surroundings.read.get(path, UNREADABLE)


def system() -> Surroundings:
    """Return the surroundings of this process, as they are now."""
    return Surroundings(dict(os.environ))


def native_wanted() -> bool:
    """Whether compiled modules may be used: unless `COLLECTOR_NATIVE=0` says no, to compare or to rule them out."""
    return os.environ.get(_NATIVE, "").strip().lower() not in {"0", "no", "off", "false"}


def _is_unicode(text: str) -> bool:
    """Whether `text` holds no bytes that Python could not decode (surrogate escapes)."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
