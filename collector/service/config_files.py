"""The configuration as files: read again when asked, and looked at to see whether they have changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from collector.components import FACTORIES
from collector.config.diagnostics import ConfigError
from collector.config.load import load
from collector.config.sources import Surroundings, digest, system
from collector.service.config import load_config

if TYPE_CHECKING:
    from collector.pipeline.component import Factories
    from collector.service.config import Config

# How often files are looked at. A change counts when it is still the same one look later: whoever writes a file in
# several pieces is given the time to finish.
_LOOK_S: Final = 1.0


class ConfigFiles:
    """What `--config` and `--set` say. `read` may be called from one thread at a time."""

    def __init__(
        self,
        locations: Iterable[str],
        sets: Iterable[str],
        *,
        surroundings: Callable[[], Surroundings] = system,
        factories: Factories = FACTORIES,
    ) -> None:
        self._locations = tuple(locations)
        self._sets = tuple(sets)
        self._surroundings = surroundings
        self._factories = factories
        # Of every file that the last reading asked for, those of `${file:…}` among them: a digest of what it saw.
        self.seen: dict[str, bytes] = {}

    def read(self) -> Config:
        """Return the configuration as it is now.

        Raises:
            ConfigError: with everything that is wrong.
        """
        surroundings = self._surroundings()
        try:
            config = load_config(load(self._locations, self._sets, surroundings), self._factories)
        except ConfigError:
            # It may not have come to all that it would ask for: those before are looked at as well.
            self.seen = self.seen | surroundings.read
            raise
        self.seen = surroundings.read
        return config


class Watch:
    """Calls `changed` when a file is not any more what was read last. Looks at contents, so links may be swapped.

    That is how a kubelet updates a ConfigMap: the file is a link through a directory that is a link itself, and the
    inner one is replaced (Kubernetes documentation, "Mounted ConfigMaps are updated automatically").
    """

    def __init__(self, files: ConfigFiles, changed: Callable[[], None]) -> None:
        self._files = files
        self._changed = changed
        self._stopping = threading.Event()
        self._last: dict[str, bytes] = {}
        self._told: dict[str, bytes] = {}

    def run(self) -> None:
        """The body of the thread."""
        while not self._stopping.wait(_LOOK_S):
            self.look()

    def stop(self) -> None:
        """Let `run` return."""
        self._stopping.set()

    def look(self) -> None:
        """Look once. A change is told of when it is seen for the second time, and once."""
        seen = self._files.seen
        now = {path: digest(path) for path in seen}  # they are small: read again each time
        if now == seen:
            self._told = {}
        elif now == self._last and now != self._told:
            self._told = now
            self._changed()
        self._last = now
