"""The configuration as files that change."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config.diagnostics import ConfigError
from collector.config.sources import Surroundings
from collector.service.config_files import ConfigFiles, Watch
from tests.support.plan import CHAIN, Plan


class Desk:
    """A configuration in a file, watched."""

    def __init__(self, path: Path, text: str = CHAIN) -> None:
        self.path = path
        path.write_text(text)
        self.files = ConfigFiles(
            [str(path)], [], surroundings=lambda: Surroundings({}), factories=Plan().factories
        )
        self.told = 0
        self.watch = Watch(self.files, self.tell)
        self.files.read()

    def tell(self) -> None:
        self.told += 1

    def look(self, times: int = 1) -> int:
        """Look so often; how often a change was told of in all."""
        for _ in range(times):
            self.watch.look()
        return self.told


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "collector.yaml")


def test_a_change_is_told_of_once_when_it_has_settled(desk: Desk) -> None:
    """Seen twice, so that a file written in pieces is not read in the middle."""
    assert desk.look(3) == 0
    desk.path.write_text(CHAIN + "# one")
    assert desk.look() == 0
    desk.path.write_text(CHAIN + "# one two")
    assert desk.look() == 0
    assert desk.look() == 1
    assert desk.look(3) == 1


def test_a_file_that_was_only_touched_has_not_changed(desk: Desk) -> None:
    """Contents count, not times."""
    desk.path.touch()
    assert desk.look(3) == 0


def test_a_change_that_was_read_meanwhile_is_not_told_of(desk: Desk) -> None:
    """By SIGHUP, for instance."""
    desk.path.write_text(CHAIN + "# one")
    assert desk.look() == 0
    desk.files.read()
    assert desk.look(3) == 0


def test_a_change_that_cannot_be_used_is_not_told_of_again(desk: Desk) -> None:
    """Until it is another one: no error every second."""
    desk.path.write_text("nonsense: [")
    assert desk.look(2) == 1
    with pytest.raises(ConfigError):
        desk.files.read()
    assert desk.look(3) == 1
    desk.path.write_text(CHAIN)
    assert desk.look(2) == 2


def test_a_file_that_is_away_for_a_moment_is_a_change_when_it_stays_away(desk: Desk) -> None:
    """Editors rename; a file that is gone is an error that should be seen."""
    text = desk.path.read_text()
    desk.path.unlink()
    assert desk.look() == 0
    desk.path.write_text(text)
    assert desk.look(3) == 0
    desk.path.unlink()
    assert desk.look(2) == 1


def test_files_that_the_configuration_names_are_looked_at_too(tmp_path: Path) -> None:
    """A password that is rotated in a mounted Secret."""
    secret = tmp_path / "level"
    secret.write_text("info")
    text = CHAIN.replace("service:", f"service:\n  telemetry: {{logs: {{level: '${{file:{secret}}}'}}}}")
    desk = Desk(tmp_path / "collector.yaml", text)
    secret.write_text("debug")
    assert desk.look(2) == 1
    assert desk.files.read().service.telemetry.logs.level == "debug"


def test_a_configmap_that_a_kubelet_updates_is_seen(tmp_path: Path) -> None:
    """collector.yaml -> ..data/collector.yaml, ..data -> ..2026_01_01; the link ..data is replaced at once."""
    mount = tmp_path / "config"
    mount.mkdir()

    def project(name: str, text: str) -> None:
        (mount / name).mkdir()
        (mount / name / "collector.yaml").write_text(text)
        link = mount / "..data_tmp"
        link.symlink_to(name)
        link.rename(mount / "..data")

    project("..2026_01_01", CHAIN)
    (mount / "collector.yaml").symlink_to("..data/collector.yaml")
    path = mount / "collector.yaml"
    files = ConfigFiles([str(path)], [], surroundings=lambda: Surroundings({}), factories=Plan().factories)
    files.read()
    told: list[bool] = []
    watch = Watch(files, lambda: told.append(True))
    watch.look()
    project("..2026_01_02", CHAIN + "# changed")
    watch.look()
    watch.look()
    assert told == [True]
