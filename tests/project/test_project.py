# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's own papers are current: reference page, configs, service unit, versions, licence."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from appliance.config import Config
from appliance.reference import page

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_reference_page_is_current():
    assert (ROOT / "docs" / "reference.md").read_text() == page(), "`make reference` makes it anew"


def test_the_default_config_shows_every_setting_with_its_default():
    assert yaml.safe_load((ROOT / "configs" / "default.yaml").read_text()) == Config().model_dump(mode="json")


def test_the_stage_config_only_changes_what_it_must():
    tree = yaml.safe_load((ROOT / "configs" / "stage.yaml").read_text())
    assert Config.model_validate(tree).session.resume == "play"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit():
    done = subprocess.run(["systemd-analyze", "verify", str(ROOT / "systemd" / "appliance.service")], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "appliance.service" not in done.stderr, done.stderr


def test_every_dependency_is_locked():
    locked = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    wanted = [*PROJECT["dependencies"], *(word for extra in PROJECT["optional-dependencies"].values() for word in extra)]
    names = {re.split(r"[\[<>=; ]", word)[0].lower() for word in wanted} - {"appliance"}
    assert names <= locked, "`scripts/lock` writes them"


def test_every_file_of_ours_names_its_licence():
    files = [path for folder in ("appliance", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 50
    assert not [str(path) for path in files if not path.read_text().startswith("# SPDX-License-Identifier: GPL-3.0-or-later\n")]
    assert "GNU GENERAL PUBLIC LICENSE" in (ROOT / "LICENSE").read_text()


def test_what_the_readme_shows_exists():
    text = (ROOT / "README.md").read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (ROOT / link).exists() or link == "docs/picture.png", link
    for target in set(re.findall(r"`make (\w+)", text)):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def test_the_packages_data_is_shipped():
    """What is beside the code in the package goes into the wheel."""
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    inside = {path.suffix for path in (ROOT / "appliance").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert inside - {".py", ".pyc", ".typed"} <= {pattern.removeprefix("*") for pattern in shipped}
