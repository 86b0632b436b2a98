# SPDX-License-Identifier: GPL-3.0-or-later
"""The analyser's process, whatever it does: real processes that crash, hang, lie, and one that listens."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import soundfile as sf

from appliance.control.analyser import Analyser, NotAnalysed
from appliance.errors import Unavailable
from tests.drums import RATE, drums


def says(code: str, limit_s: float = 20.0) -> Analyser:
    return Analyser((sys.executable, "-c", code), limit_s)


async def test_it_listens(tmp_path):
    path = tmp_path / "track.wav"
    sf.write(path, drums("four", 124.0, 20.1, first_s=0.2), RATE)
    found = await Analyser().listen(path)
    assert found.bpm == pytest.approx(124.0, abs=0.05) and found.loudness is not None


async def test_what_is_wrong_with_a_file_is_told(tmp_path):
    with pytest.raises(NotAnalysed, match=r"gone\.wav: there is no such file"):
        await Analyser().listen(tmp_path / "gone.wav")
    path = tmp_path / "text.wav"
    path.write_text("no sound")
    with pytest.raises(NotAnalysed, match=r"text\.wav.*cannot be read|text\.wav: is not an audio file"):
        await Analyser().listen(path)


async def test_an_analyser_that_hangs_is_ended(tmp_path):
    mark = tmp_path / "pid"
    with pytest.raises(NotAnalysed, match=r"ended after 0\.5 s"):
        await says(f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)", 0.5).listen(Path("x"))
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


@pytest.mark.parametrize(("code", "why"), [
    ("import os; os.kill(os.getpid(), 11)", "signal 11"),
    ("1 / 0", "the analyser failed"),
    ("print('hello')", "no result that can be read"),
    ("print('{\"grid\": {\"bpm\": -3}}')", "no result that can be read"),
    ("pass", "no result that can be read"),
])
async def test_an_analyser_that_fails_says_so_in_a_line(code, why):
    with pytest.raises(NotAnalysed, match=why) as error:
        await says(code).listen(Path("song.wav"))
    assert "\n" not in error.value.message


async def test_without_its_library_there_is_none():
    with pytest.raises(Unavailable, match="No module named 'nothing_of_this_name'"):
        await says("import nothing_of_this_name").listen(Path("x"))


async def test_it_gives_way_to_everybody(tmp_path):
    """The lowest priority, on the processor and on the disk, and the first to go when memory is short."""
    code = ("import os; from appliance.library.analysis.__main__ import stand_back; stand_back(); import json; "
            "print(json.dumps({'error': ' '.join(map(str, (os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), "
            "open('/proc/self/oom_score_adj').read().strip())))}))")
    with pytest.raises(NotAnalysed, match=f"^19 {os.SCHED_IDLE} 1000$"):
        await says(code).listen(Path("x"))
