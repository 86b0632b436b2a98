# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages become words that can be said, and few enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.control.speech.queue import FRESH_S, Saying, Urgency, Waiting, interrupts
from appliance.control.speech.words import MOST_CHARACTERS, in_words, key_in_words, named, shortened, tempo_in_words


@pytest.mark.parametrize(("message", "said"), [
    ("/home/me/My_loop-2.wav: there is no such file", "My loop 2: there is no such file"),
    ("/pad/3: the engine goes without dusty_drums.wav; load it again",
     "pad 3: the engine goes without dusty drums; load it again"),
    ("/deck/1/load: /media/a/b.mp3 is damaged after 3.5 s (unknown frame); copy it again",
     "deck 1: b is damaged after 3.5 seconds; copy it again"),
    ("/bank/2/pad/3/gain takes -60 … 12 dB, not 99", "bank 2 pad 3 gain takes -60 to 12 decibels, not 99"),
    ("/mixer/crossfader: 'x' is no number", "crossfader: 'x' is no number"),
    ("the disk is 97 % full", "the disk is 97 percent full"),
    ("[[kjlk]] <mark> {x}", "kjlk mark x"),
    ("pairing code 4 7 1 1", "pairing code 4 7 1 1"),
    ("", ""), ("(only this)", ""), ("\x00\x07", ""),
])
def test_what_was_written_is_said(message: str, said: str) -> None:
    assert in_words(message) == said


@given(st.text(max_size=2 * MOST_CHARACTERS))
def test_nothing_that_espeak_takes_for_an_order_gets_through(text: str) -> None:
    said = in_words(text)
    assert not set("[]<>{}|\\\n\r\0") & set(said)
    assert said == said.strip()


@pytest.mark.parametrize(("key", "said"), [
    ("A minor", "eigh minor"), ("F# major", "F sharp major"), ("", ""), ("Bb minor", "B flat minor"),
])
def test_keys(key: str, said: str) -> None:
    assert key_in_words(key) == said


@pytest.mark.parametrize(("bpm", "said"), [
    (124.0, "1 24"), (105.0, "1 oh 5"), (98.0, "98"), (100.0, "100"), (174.5, "1 74 point 5"), (127.96, "1 28"),
])
def test_tempos(bpm: float, said: str) -> None:
    assert tempo_in_words(bpm) == said


def test_names_of_addresses() -> None:
    assert named("/deck/1/loop/in") == "deck 1 loop in"
    assert named("/bank/1/pad/5/trigger") == "pad 5"
    assert named("/no/such/thing") == "no such thing"


@pytest.mark.parametrize(("most", "kept"), [
    (20, "deck 1: b is damaged after 3.5 seconds; copy or export it again"), (9, "deck 1: b is damaged after 3.5 seconds"),
    (6, "deck 1: b is damaged after"), (3, "deck 1"), (2, "deck 1"), (1, "deck"),
])
def test_shorter_it_ends_where_a_clause_does_or_a_word_that_can(most: int, kept: str) -> None:
    assert shortened("deck 1: b is damaged after 3.5 seconds; copy or export it again", most) == kept


def test_it_never_ends_in_the_middle_of_a_phrase() -> None:
    assert shortened("the disk is full of the old recordings", 6) == "the disk is full"


def _said(text: str, urgency: Urgency, at: float = 0.0) -> Saying:
    return Saying(text, urgency, at)


def test_the_newest_of_each_urgency_waits_and_faults_come_first() -> None:
    waiting = Waiting()
    for number in range(100):
        waiting.put(_said(f"pad {number}", Urgency.NAME))
        waiting.put(_said(f"fault {number}", Urgency.FAULT))
    order = []
    while (saying := waiting.first(1.0)) is not None:
        waiting.take(saying)
        order.append(saying.text)
    assert order == ["fault 99", "pad 99"]


def test_what_is_being_prepared_gives_way_to_what_is_newer_or_more_urgent() -> None:
    waiting, first = Waiting(), _said("pad 1", Urgency.NAME)
    waiting.put(first)
    assert not waiting.overtaken(first), "however long it takes to prepare"
    waiting.put(_said("pad 2", Urgency.NAME))
    assert waiting.overtaken(first)
    second = waiting.first(0.0)
    assert second is not None and not waiting.overtaken(second)
    waiting.put(_said("fault", Urgency.FAULT))
    assert waiting.overtaken(second)
    waiting.clear()
    assert waiting.overtaken(second)


def test_what_is_late_is_not_said() -> None:
    waiting = Waiting()
    waiting.put(_said("pad 1", Urgency.NAME))
    waiting.put(_said("fault", Urgency.FAULT))
    assert waiting.first(FRESH_S[Urgency.NAME] + 0.1) == _said("fault", Urgency.FAULT)
    assert waiting.first(FRESH_S[Urgency.FAULT] + 0.1) is None


@pytest.mark.parametrize(("new", "heard", "may"), [
    (Urgency.NAME, Urgency.NAME, True), (Urgency.NAME, Urgency.ASKED, False), (Urgency.ASKED, Urgency.ASKED, True),
    (Urgency.FAULT, Urgency.NAME, True), (Urgency.FAULT, Urgency.FAULT, False), (Urgency.ASKED, Urgency.FAULT, False),
])
def test_who_may_interrupt_whom(new: Urgency, heard: Urgency, may: bool) -> None:
    assert interrupts(_said("new", new), _said("heard", heard)) is may
