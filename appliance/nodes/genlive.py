# SPDX-License-Identifier: GPL-3.0-or-later
"""The live stream: music that is made bar after bar and steered while it plays, by whatever makes it."""

from appliance.namespace import Group, Type, call, choice, integer, number, state, switch, text
from appliance.nodes.gen import KEYS

PROMPTS = 8
BACKENDS = ("embedded", "lyria")
LIVE_MODES = ("quality", "diversity", "vocalization")
BOX_KEY = "box"
MAX_CAPTURE_BARS = 16

GEN_LIVE = Group("gen_live", "/gen/live", (
    switch("on", False, "The stream plays, from the next bar on, while the clock runs", session=False, owner="gen"),
    choice("backend", "embedded", BACKENDS, "Who plays it; while another is away, the embedded generator does", owner="gen"),
    choice("key", BOX_KEY, (BOX_KEY, *KEYS), "Key; box: one that a prompt names, else that of /gen/key", owner="gen"),
    number("density", 0.5, 0.0, 1.0, "Sparse … busy", owner="gen"),
    number("brightness", 0.5, 0.0, 1.0, "Dark … bright", owner="gen"),
    number("temperature", 1.1, 0.0, 3.0, "How readily it varies", owner="gen"),
    number("guidance", 4.0, 0.0, 6.0, "How closely the prompts are followed (lyria)", owner="gen"),
    integer("top_k", 40, 1, 1000, "From so many likely ways to go on one is drawn (lyria)", owner="gen"),
    integer("seed", 0, 0, 2**31 - 1, "Same seed, same music (of the embedded one); 0: that of /gen/seed", owner="gen"),
    choice("mode", "quality", LIVE_MODES, "What it looks for (lyria)", owner="gen"),
    switch("mute_bass", False, "Without bass", owner="gen"),
    switch("mute_drums", False, "Without drums and percussion", owner="gen"),
    switch("only_bass_and_drums", False, "Nothing but bass, drums and percussion", owner="gen"),
    call("drop", "Riser, fill, a short silence, and the drop on the next phrase", owner="gen"),
    call("reset", "Begins afresh: another context, the first variation; a drop that was begun is called off", owner="gen"),
    call("capture", "Makes a loop of the last bars: how many (4), then where it goes (none: an empty pad)",
         owner="gen"),
    state("source", "Who is heard: none, embedded, lyria", type=Type.TEXT, owner="gen"),
    state("connected", "The maker that was chosen is there", type=Type.BOOL, owner="gen"),
    state("ahead", "What is there of it beyond the bar that plays", owner="gen", unit="s", maximum=60.0),
    state("dropping", "Bars until the drop; 0: none is coming", type=Type.INT, owner="gen", maximum=64),
    state("filtered", "Prompts that the maker refused, with its reasons", type=Type.JSON, owner="gen"),
    state("message", "The last thing that the stream has to say", type=Type.TEXT, owner="gen"),
))

GEN_LIVE_PROMPT = Group("gen_live_prompt", "/gen/live/prompt/{prompt}", (
    text("text", "", "What to play, in words; with none at all: /gen/prompt, in the style of /gen/style"),
    number("weight", 1.0, 0.0, 2.0, "How much it counts beside the other prompts; 0: not at all", owner="gen"),
), {"prompt": PROMPTS})
