"""Which queues a command is about, and what becomes of errors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.cli.configuration import configuration_options, load_or_exit

if TYPE_CHECKING:
    from collector.pipeline.dead_letters import DeadLetters
    from collector.pipeline.disk_queue import DiskQueue

# A queue of which no configuration says how large it may be.
_UNBOUNDED = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A queue on disk: the directory that all lie in, its name there, and how many bytes it may hold."""

    directory: Path
    name: str
    capacity: int = _UNBOUNDED

    @property
    def path(self) -> Path:
        """Its own directory."""
        return self.directory / self.name

    @property
    def letters_path(self) -> Path:
        """That of its dead letters, which may not be there."""
        from collector.pipeline.dead_letters import FOLDER

        return self.path / FOLDER

    @contextmanager
    def opened(self) -> Iterator[tuple[DiskQueue, DeadLetters]]:
        """The queue and its dead letters, which no other process has meanwhile."""
        from collector.model.clock import SystemClock
        from collector.pipeline.dead_letters import DeadLetters
        from collector.pipeline.disk_queue import DiskQueue, QueueStorage

        storage, clock = QueueStorage(directory=self.directory), SystemClock()
        queue = DiskQueue(storage, self.name, self.capacity, clock)
        letters = DeadLetters(storage, self.name, _UNBOUNDED, clock)
        queue.open()
        try:
            letters.open(queue.last)
            yield queue, letters
        finally:
            letters.close()
            queue.close()


def with_places(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where queues are, and call it with all `Place`s first."""

    @functools.wraps(function)
    def call(
        *args: Any, configs: Sequence[str], sets: Sequence[str], directory: Path | None, **options: Any
    ) -> Any:
        from collector.model.errors import TelemetryError
        from collector.pipeline.component import StartError

        places = _places(configs, sets, directory)
        try:
            return function(places, *args, **options)
        except (StartError, TelemetryError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(
                f"{error.filename or 'the disk'}: {error.strerror or error}"
            ) from error

    option = click.option(
        "--directory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="The `directory` of the file_storage extension. [default: as the configuration says]",
    )
    return configuration_options(option(call))


def _places(configs: Sequence[str], sets: Sequence[str], directory: Path | None) -> list[Place]:
    from collector.pipeline.queue_directory import queues_in

    known: Mapping[Path, int] = {}
    directories = [directory] if directory is not None else []
    if directory is None or configs:
        known = _configured(configs, sets)
    if directory is None:
        directories = list(dict.fromkeys(path.parent for path in known))
        if not directories:
            raise click.ClickException("the configuration keeps no queue on disk (`sending_queue.storage`)")
    return [
        Place(directory=path.parent, name=path.name, capacity=known.get(path, _UNBOUNDED))
        for one in directories
        for path in queues_in(one)
    ]


def _configured(configs: Sequence[str], sets: Sequence[str]) -> dict[Path, int]:
    """The directory of each queue that the configuration keeps on disk, and how many bytes it may hold."""
    from collector.pipeline.queue import queue_name
    from collector.service.guarantee import storage_of

    config = load_or_exit(configs, sets)
    found = {}
    for pipeline in config.pipelines.values():
        for exporter_id in pipeline.exporters:
            storage = storage_of(config, exporter_id)
            if storage is not None:
                size = int(config.exporters[exporter_id].config.sending_queue.queue_size)
                found[storage.directory / queue_name(exporter_id, pipeline.signal)] = size
    return found


def choose(places: Sequence[Place], names: Sequence[str], *, everything: bool) -> list[Place]:
    """The queues of these names, or all.

    Raises:
        UsageError: none was named, or one is not there.
    """
    if everything:
        return list(places)
    there = ", ".join(sorted({place.name for place in places})) or "none"
    if not names:
        raise click.UsageError(f"say which queue, or --all; there is: {there}")
    for name in names:
        if name not in {place.name for place in places}:
            raise click.UsageError(f"there is no queue {name!r}; there is: {there}")
    return [place for place in places if place.name in names]
