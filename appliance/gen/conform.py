# SPDX-License-Identifier: GPL-3.0-or-later
"""Any audio becomes a loop that may be launched: exact frames, downbeat on frame 0, loudness, peaks, seam.

Nothing reaches a pad without it. Material from the embedded generator is exact already; it passes through all the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from appliance.errors import BadValue
from appliance.gen.loudness import integrated_lufs, limit_curve
from appliance.gen.maths import decibels, sin_turns
from appliance.gen.request import loop_frames
from appliance.gen.retune import retuned
from appliance.gen.seam import close_seam, seam_ratio

Samples = NDArray[np.float32]
CEILING_DB = -1.0
#: Loudness a clip is brought to, by role: together on pads they make a mix that leaves the limiter alone.
ROLE_LUFS = {
    "mix": -14.0, "drums": -16.0, "percussion": -22.0, "bass": -18.0, "chords": -21.0, "lead": -21.5, "texture": -27.0,
    "voice": -18.0,
}  # fmt: skip
_FADE_S = 0.008


@dataclass(slots=True)
class ConformReport:
    """What was done and what came out."""

    frames: int
    sample_rate: int
    downbeat_frame: int  # where the downbeat stood in the material, at the target rate
    loudness_lufs: float
    gain_db: float
    limited_db: float  # the deepest gain reduction; 0 when no peak was over
    peak_db: float
    seam_ratio: float  # second difference at the loop point over the clip's own 99.9th percentile; heard above 1
    seam: str  # how it was closed: "exact", "pre-roll", "post-roll" or "joined"
    speed: float = 1.0  # how many times faster than the material the loop is
    notes: list[str] = field(default_factory=list)


def conform(
    audio: Samples,
    sample_rate: int,
    *,
    bpm: float,
    bars: int,
    beats_per_bar: float = 4,
    target_rate: int = 48_000,
    target_lufs: float = -16.0,
    source_bpm: float | None = None,
    downbeat_frame: int | None = None,
    near: bool = False,
    semitones: float = 0.0,
    stems: Mapping[str, Samples] | None = None,
) -> tuple[Samples, ConformReport, dict[str, Samples]]:
    """Make ``audio`` ((frames,), (frames, 1) or (frames, 2), any rate) a loop of ``bars`` at ``bpm``.

    ``downbeat_frame`` (in the material's frames) is searched for when None; ``near``: it is right to some milliseconds, and the
    attack there is searched for. ``source_bpm`` is the material's tempo when it differs from ``bpm``: it is then stretched, and
    shifted by ``semitones`` (:mod:`.retune`). ``stems`` get the same cuts, fades and gains as the mix, so they still add up.
    Returns loop (frames, 2) float32 C-contiguous, report, stems.
    Raises :class:`BadValue` for silence, NaN, wrong shapes and material much too short.
    """
    work = checked(audio)
    others = {name: checked(stem, silent=True) for name, stem in (stems or {}).items()}
    frames = loop_frames(bars, beats_per_bar, bpm, target_rate)
    own_bpm = source_bpm or bpm
    own_frames = loop_frames(bars, beats_per_bar, own_bpm, target_rate)
    if sample_rate != target_rate:
        work = resampled(work, sample_rate, target_rate)
        others = {name: resampled(stem, sample_rate, target_rate) for name, stem in others.items()}
        if downbeat_frame is not None:
            downbeat_frame = round(downbeat_frame * target_rate / sample_rate)
    if downbeat_frame is None:
        downbeat_frame = find_downbeat(work, target_rate, own_bpm, int(bars * beats_per_bar))
    elif near:
        downbeat_frame = _at_attack(work, downbeat_frame, target_rate)
    notes: list[str] = []
    stack = [work, *others.values()]
    cut, seam = _cut(stack, downbeat_frame, own_frames, own_frames / bars, target_rate, notes)
    cut = retuned(cut, frames, target_rate, semitones, notes)
    joined = close_seam(cut, target_rate)
    gain_db, limited_db, loudness = level(cut, target_rate, target_lufs, notes)
    joined = close_seam(cut, target_rate) or joined  # the limiter may have bent it
    seam = "joined" if joined and seam == "exact" else seam
    ratio = seam_ratio(cut[0])
    loop = np.ascontiguousarray(cut[0])
    peak = float(np.abs(loop).max())
    report = ConformReport(
        frames=frames, sample_rate=target_rate, downbeat_frame=downbeat_frame,
        loudness_lufs=loudness, gain_db=gain_db, limited_db=limited_db,
        peak_db=20 * math.log10(max(peak, 1e-9)), seam_ratio=ratio, seam=seam, speed=bpm / own_bpm, notes=notes,
    )  # fmt: skip
    return loop, report, dict(zip(others, (np.ascontiguousarray(stem) for stem in cut[1:]), strict=True))


def find_downbeat(audio: Samples, sample_rate: int, bpm: float, beats: int, *, whole: bool = True) -> int:
    """The frame of the first downbeat: the phase of the beat grid on which most attacks lie, refined to the attack itself.

    Material that begins with sound (20 dB under its peak or more within 10 ms) begins on its downbeat: what plays loops or
    starts a bar is cut that way, and a search would take a strong off-beat for it. Material that is not ``whole`` was cut out
    of something anywhere: then it is the phase alone, to 2 ms.
    """
    hop = max(round(0.002 * sample_rate), 1)
    energy = np.square(audio).sum(axis=1, dtype=np.float32)
    count = len(energy) // hop
    if count < 8 or (whole and float(energy[: 5 * hop].max()) > 0.01 * float(energy.max())):
        return 0
    level = np.sqrt(energy[: count * hop].reshape(count, hop).sum(axis=1))
    rise = np.maximum(np.diff(level, prepend=0.0), 0.0)
    beat_hops = 60.0 / bpm * sample_rate / hop
    phases = np.arange(int(beat_hops))
    available = int((count - 2) / beat_hops)
    score = np.zeros(len(phases))
    for beat in range(min(beats, available) + 1):
        at = (phases + beat * beat_hops).astype(np.int64)
        inside = at < count
        score[inside] += rise[at[inside]]
    phase = int(np.argmax(score))
    if not whole:
        return phase * hop
    beat_frames = 60.0 / bpm * sample_rate
    for rising in (True, False):  # in a drone or under hiss nothing may rise
        for beat in range(available + 1):
            frame = _attack(energy, round(phase * hop + beat * beat_frames), hop, sample_rate, rising)
            if frame is not None:
                return frame
    return 0


def _attack(energy: NDArray[np.float32], near: int, hop: int, sample_rate: int, rising: bool = False) -> int | None:
    """The first frame near ``near`` that carries an attack: a tenth of the local peak's amplitude; None where it is quiet, and,
    ``rising``, where it is not 6 dB over what was there before."""
    start, end = max(near - 3 * hop, 0), min(near + int(0.03 * sample_rate), len(energy))
    piece, before = energy[start:end], energy[max(start - 10 * hop, 0) : max(start, hop)]
    if not len(piece) or float(piece.max()) < 1e-3 * float(energy.max()):
        return None
    if rising and float(piece.max()) < 4 * float(before.max()):
        return None
    over = np.nonzero(piece > 0.01 * float(piece.max()))[0]
    first = start + int(over[0])
    return 0 if first < int(0.0015 * sample_rate) else first


def _at_attack(audio: Samples, near: int, rate: int) -> int:
    """The attack at a downbeat that is known to some milliseconds; the downbeat itself where it is quiet."""
    if near < int(0.005 * rate) and float(np.abs(audio[: int(0.002 * rate)]).max()) > 0.1 * float(np.abs(audio).max()):
        return 0
    found = _attack(np.square(audio).sum(axis=1, dtype=np.float32), near, max(round(0.002 * rate), 1), rate)
    return near if found is None or abs(found - near) > 0.01 * rate else found


def checked(audio: Samples, silent: bool = False) -> Samples:
    """As (frames, 2) float32. Raises :class:`BadValue` for what no loop can be made of; ``silent``: silence is allowed."""
    audio = np.asarray(audio)
    if audio.ndim == 1:
        audio = audio[:, None]
    if audio.ndim != 2 or audio.shape[1] not in (1, 2) or not len(audio):
        raise BadValue(f"audio of shape {audio.shape} is not mono or stereo, or is empty")
    audio = np.repeat(audio, 2, axis=1) if audio.shape[1] == 1 else audio
    audio = audio.astype(np.float32)
    if not np.isfinite(audio).all():
        raise BadValue("the audio holds NaN or infinity; the generator failed")
    if not silent and float(np.abs(audio).max()) < 1e-5:
        raise BadValue("the audio is silent; ask for something else")
    return audio


def resampled(audio: Samples, rate: float, target_rate: int) -> Samples:
    """(frames, 2) from one rate to another, both in Hz."""
    import soxr

    if rate == target_rate:
        return audio

    return np.asarray(soxr.resample(audio, rate, target_rate, quality="HQ"), np.float32)


def _cut(
    stack: list[Samples], downbeat: int, frames: int, bar_frames: float, rate: int, notes: list[str]
) -> tuple[list[Samples], str]:
    """Cut ``frames`` from the downbeat on out of every layer and close the seam with what lies before or behind."""
    length = len(stack[0])
    downbeat = min(max(downbeat, 0), length - 1)
    have = length - downbeat
    if have < frames:
        return _fill_up(stack, downbeat, frames, bar_frames, rate, notes)
    cut = [layer[downbeat : downbeat + frames].copy() for layer in stack]
    if have == frames and downbeat == 0:
        return cut, "exact"
    fade = int(_FADE_S * rate)
    if downbeat >= fade:
        rising, falling = _equal_power(fade)
        for layer, piece in zip(stack, cut, strict=True):
            before = layer[downbeat - fade : downbeat]
            piece[frames - fade :] = piece[frames - fade :] * rising[::-1] + before * falling[::-1]
        return cut, "pre-roll"
    fade = min(int(0.0015 * rate), have - frames)  # the downbeat itself is faded in: keep it under its 2 ms
    if fade > 4:
        rising, falling = _equal_power(fade)
        for layer, piece in zip(stack, cut, strict=True):
            behind = layer[downbeat + frames : downbeat + frames + fade]
            piece[:fade] = piece[:fade] * rising + behind * falling
        return cut, "post-roll"
    return cut, "exact"


def _fill_up(
    stack: list[Samples], downbeat: int, frames: int, bar_frames: float, rate: int, notes: list[str]
) -> tuple[list[Samples], str]:
    """Material that is too short: whole bars are repeated, a missing end is silence, too little is refused."""
    have = len(stack[0]) - downbeat
    whole_bars = int(have / bar_frames + 0.02)
    missing = frames - have
    if missing <= 0.02 * bar_frames or missing <= 0.15 * frames:
        cut = [np.concatenate((layer[downbeat:], np.zeros((missing, 2), np.float32))) for layer in stack]
        fade = min(int(_FADE_S * rate), have)
        _, falling = _equal_power(fade)
        for piece in cut:
            piece[have - fade : have] *= falling
        if missing > 0.002 * rate:
            notes.append(f"the last {missing / rate:.2f} s are silence: the material was that much too short")
        return cut, "exact"
    if whole_bars < 1:
        raise BadValue(f"{have / rate:.2f} s of audio are less than one bar of {bar_frames / rate:.2f} s")
    period = round(whole_bars * bar_frames)
    cut = []
    for layer in stack:
        unit = layer[downbeat : downbeat + period]
        unit = np.concatenate((unit, np.zeros((period - len(unit), 2), np.float32)))
        repeats = [np.resize(unit, (frames, 2))]
        cut.append(np.ascontiguousarray(repeats[0], np.float32))
    notes.append(f"{whole_bars} bars of material repeat to fill the loop")
    return cut, "exact"


def _equal_power(frames: int) -> tuple[Samples, Samples]:
    """Gains (frames, 1) of what comes and what goes; the first frame is all the old, and no slope has a step."""
    share = np.arange(frames) / frames
    angle = share * share * (3 - 2 * share) / 4
    return sin_turns(angle).astype(np.float32)[:, None], sin_turns(angle + 0.25).astype(np.float32)[:, None]


def level(cut: list[Samples], rate: int, target_lufs: float, notes: list[str]) -> tuple[float, float, float]:
    """Bring layer 0 to the loudness and under the ceiling, in place, the others with it.

    Returns gain, deepest limiting and the loudness that came out. The limiter takes loudness away: up to four rounds of more
    gain make up for it.
    """
    ceiling = decibels(CEILING_DB)
    loudness = integrated_lufs(cut[0], rate)
    if loudness == -math.inf:
        raise BadValue("the audio is as good as silent; ask for something else")
    gain_db = round(target_lufs - loudness, 2)
    reached = loudness + gain_db
    curve: Samples | None = None
    for attempt in range(4):
        tried = cut[0] * np.float32(decibels(gain_db))
        curve = limit_curve(tried, ceiling, rate)
        if curve is None:
            reached = loudness + gain_db
            break
        reached = integrated_lufs(tried * curve[:, None], rate)
        if abs(target_lufs - reached) < 0.1 or attempt == 3:
            break
        gain_db = round(gain_db + target_lufs - reached, 2)
    factor = np.float32(decibels(gain_db)) if curve is None else curve[:, None] * np.float32(decibels(gain_db))
    for layer in cut:
        layer *= factor
    limited_db = 0.0 if curve is None else round(20 * math.log10(max(float(curve.min()), 1e-9)), 2)
    if limited_db < -9:
        notes.append(f"peaks are limited by {-limited_db:.0f} dB")
    if abs(target_lufs - reached) > 0.5:
        notes.append(f"too peaky for {target_lufs:g} LUFS: it is at {reached:.1f}")
    return gain_db, limited_db, reached
