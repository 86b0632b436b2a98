# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of versions keeps within its size, and within a share of the room that the disk has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from appliance.control.versions import Versions


def fill(folder: Path, number: int, size: int = 1_000_000) -> None:
    """Files 0, 1 …, each used a second before the one that precedes it."""
    folder.mkdir(exist_ok=True)
    for age in range(number):
        (folder / f"{age}.wav").write_bytes(bytes(size))
        os.utime(folder / f"{age}.wav", (1e9 - age, 1e9 - age))


def left(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "versions", 10)
    return tmp_path / "versions"


def test_the_oldest_go_when_they_are_too_many(folder: Path) -> None:
    Versions(folder, most_mb=3.5).tidy()
    assert left(folder) == [0, 1, 2]


def test_a_used_one_is_young_again(folder: Path) -> None:
    versions = Versions(folder, most_mb=3.5)
    assert versions.used(folder / "9.wav") and not versions.used(folder / "gone.wav")
    versions.tidy()
    assert left(folder) == [0, 1, 9]


def test_a_disk_with_little_room_has_few(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 MB of them and 6 MB free: a quarter of 16 MB."""
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=6_000_000))
    Versions(folder).tidy()
    assert left(folder) == [0, 1, 2, 3]


def test_it_is_tidied_as_it_grows(folder: Path) -> None:
    versions = Versions(folder, most_mb=5)
    for age in range(10):
        versions.grown(folder / f"{age}.wav")
    assert len(left(folder)) == 5


def test_no_folder_is_no_fault(tmp_path: Path) -> None:
    Versions(tmp_path / "versions").tidy()
    assert not (tmp_path / "versions").exists()
