# SPDX-License-Identifier: GPL-3.0-or-later
"""Voices that Dia speaks in: recordings under names. A voice is ``NAME.wav`` and, in ``NAME.txt``, what is said in it, both in
the data folder's ``voices``; they may be put there by hand."""

from __future__ import annotations

import io
import re
from pathlib import Path

import soundfile as sf

from appliance.bus.wholefile import write_atomically
from appliance.errors import ApplianceError, BadFile, BadValue
from appliance.gen.drop import MAX_TEXT_CHARACTERS
from appliance.gen.material import Material, stamp_of
from appliance.gen.request import readable
from appliance.library.decode import probe

LONGEST_S = 20.0
"""Five to ten seconds are enough; of more the model has less room to speak."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")


class Voices:
    """The voices of a folder, which need not be there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.wav")
                      if _NAME.fullmatch(path.stem) and path.with_suffix(".txt").is_file())

    def find(self, name: str) -> tuple[Material, str] | None:
        """The recording and what is said in it; None when there is no such voice. Raises :class:`BadFile`."""
        path = self._folder / f"{name}.wav"
        if not _NAME.fullmatch(name) or not path.is_file() or not path.with_suffix(".txt").is_file():
            return None
        try:
            text = path.with_suffix(".txt").read_text(encoding="utf-8")
            return Material(path=str(path), stamp=stamp_of(path), name=name), said(text)
        except (OSError, UnicodeError, BadValue) as error:
            why = error.message if isinstance(error, BadValue) else " ".join(str(error).split())[:160]
            raise BadFile(f"{path.with_suffix('.txt')} must say what is heard in {path.name}: {why}") from None

    def keep(self, name: str, material: Material, text: str, store: Path) -> None:
        """A copy of the recording, in the place of one before. ``store`` is the folder of the store's audio. Raises
        :class:`BadValue`, :class:`BadFile`, ApplianceError (507)."""
        if not _NAME.fullmatch(name):
            raise BadValue(f"a voice's name has 1 … 32 letters, digits, - and _, not {name[:40]!r}")
        text = said(text)
        audio, rate = material.read(store)
        if len(audio) > LONGEST_S * rate:
            raise BadValue(f"a voice is learnt from {LONGEST_S:.0f} s at most; this is {len(audio) / rate:.0f} s long")
        body = io.BytesIO()
        sf.write(body, audio, rate, format="WAV", subtype="PCM_24")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._folder / f"{name}.txt", f"{text}\n".encode())
            write_atomically(self._folder / f"{name}.wav", body.getvalue())
        except OSError as error:
            raise ApplianceError(f"{self._folder} cannot be written ({error.strerror}): the voice was not kept",
                                 status=507) from None

    def forget(self, name: str) -> None:
        """Raises :class:`BadValue` (404), ApplianceError (507)."""
        if name not in self.names():
            raise BadValue(f"no voice is called {name[:40]!r}; /drop/voices lists them", status=404)
        try:
            for suffix in (".wav", ".txt"):
                (self._folder / f"{name}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            raise ApplianceError(f"{self._folder} cannot be written ({error.strerror}): nothing was changed",
                                 status=507) from None

    def length_s(self, name: str) -> float:
        """Raises :class:`BadFile`."""
        return round(probe(self._folder / f"{name}.wav").duration_s, 1)


def said(text: str) -> str:
    """What is said in a recording. Raises :class:`BadValue`."""
    text = " ".join(text.split())
    if not text or len(text) > MAX_TEXT_CHARACTERS:
        raise BadValue(f"the words that are heard in a voice's recording, in 1 … {MAX_TEXT_CHARACTERS} characters")
    try:
        return readable(text)
    except ValueError as error:
        raise BadValue(str(error)) from None
