# SPDX-License-Identifier: GPL-3.0-or-later
"""Prompts are kept, found again, suggested; a file that was edited badly loses nothing."""

from __future__ import annotations

import pytest

from appliance.errors import ApplianceError
from appliance.gen.prompts import KNOBS, TEMPLATES
from appliance.gen.request import STYLE_BPM, parse_request

from .conftest import Running


def test_every_style_has_a_template_and_every_template_is_a_request() -> None:
    assert {fields["style"] for fields in TEMPLATES.values()} == set(STYLE_BPM)
    for fields in TEMPLATES.values():
        assert parse_request({"prompt": fields["prompt"]}).resolved().style == fields["style"]


async def test_kept_with_its_knobs_recalled_forgotten(running: Running) -> None:
    running.control.hub.announce("/gen/prompt", "dub, melodica")
    running.box.values.set("/gen/bars", 8)
    assert await running.do("/gen/prompt/keep", "my  dub") == "my dub"
    first = (await running.do("/gen/prompts"))[0]
    assert (first["name"], first["prompt"], first["bars"], first["template"]) == ("my dub", "dub, melodica", 8, False)
    await running.kill()
    assert await running.do("/gen/prompt/recall", "my dub") == "dub, melodica"
    told = dict(running.control.sets)
    assert set(told) == {"/gen/prompt", *(f"/gen/{knob}" for knob in KNOBS)} and told["/gen/bars"] == 8
    await running.do("/gen/prompt/forget", "my dub")
    for name, reason in (("my dub", "not kept"), ("techno minimal 1", "template")):
        with pytest.raises(ApplianceError, match=reason):
            await running.do("/gen/prompt/forget", name)
    with pytest.raises(ApplianceError, match="no prompt is called"):
        await running.do("/gen/prompt/recall", "my dub")


async def test_a_suggestion_is_another_one_each_time_in_the_box_style(running: Running) -> None:
    running.box.values.set("/gen/style", "deep_house")
    heard = []
    for _ in range(4):
        heard.append(await running.do("/gen/prompt/suggest"))
        running.control.hub.announce("/gen/prompt", heard[-1])
    assert all(one != other for one, other in zip(heard, heard[1:], strict=False))
    assert all("house" in prompt for prompt in heard)
    assert running.control.sets[-1] == ("/gen/prompt", heard[-1])


async def test_bad_names_an_empty_prompt_and_a_broken_file(running: Running) -> None:
    for arguments, reason in (([], "name"), ([7], "name"), ([" "], "characters"), (["x" * 65], "characters"), (["x"], "empty")):
        with pytest.raises(ApplianceError, match=reason) as caught:
            await running.do("/gen/prompt/keep", *arguments)
        assert caught.value.status < 500
    running.control.hub.announce("/gen/prompt", "dub")
    file = running.box.data / "gen" / "prompts.yaml"
    for text, reason in (("a: [", "cannot be read"), ("a: 7\n", "no prompt"), ("- a\n", "takes names"),
                         ("a: {prompt: x, tempo: 7}\n", "tempo")):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ApplianceError, match=reason):
            await running.do("/gen/prompt/keep", "b")
        assert file.read_text(encoding="utf-8") == text, "what a person wrote is gone"
