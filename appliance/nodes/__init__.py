# SPDX-License-Identifier: GPL-3.0-or-later
"""The declarations, one file a part of the box, gathered in ``NAMESPACE``. The engine's groups come first."""

from appliance.namespace import Namespace
from appliance.nodes.access import ACCESS
from appliance.nodes.brain import BRAIN
from appliance.nodes.clock import CLOCK
from appliance.nodes.deck import DECK, HOT_CUE
from appliance.nodes.drop import DROP
from appliance.nodes.fx import FX, FX_SLOT
from appliance.nodes.gen import GEN
from appliance.nodes.genlive import GEN_LIVE, GEN_LIVE_PROMPT
from appliance.nodes.learn import DEVICE, LEARN
from appliance.nodes.library import LIBRARY
from appliance.nodes.live import LIVE
from appliance.nodes.mixer import CHANNEL, MIXER, PANIC
from appliance.nodes.pad import BANK, PAD, SCENE
from appliance.nodes.record import RECORD
from appliance.nodes.system import PANIC_ACTIONS, SESSION, SYSTEM
from appliance.nodes.visuals import VISUALS, VISUALS_PARAM
from appliance.nodes.voice import SPEECH, VOICE

ENGINE_GROUPS = (CLOCK, DECK, HOT_CUE, PAD, BANK, SCENE, CHANNEL, MIXER, PANIC, VOICE, LIVE)
"""Groups whose values the engine reads; the others' values belong to the process that owns them."""

NAMESPACE = Namespace((*ENGINE_GROUPS, PANIC_ACTIONS, SESSION, SYSTEM, RECORD, LIBRARY, GEN, GEN_LIVE, GEN_LIVE_PROMPT, BRAIN,
                       DROP, VISUALS, VISUALS_PARAM, SPEECH, FX, FX_SLOT, ACCESS, LEARN, DEVICE))
ENGINE_VALUES = Namespace(ENGINE_GROUPS).values
"""The front of ``NAMESPACE.values``: the part that the engine reads and smooths."""
