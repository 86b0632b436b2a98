# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that a request understands: styles, sections, parts, instruments, moods, and what people call them."""

from __future__ import annotations

from typing import Literal, get_args

Part = Literal["drums", "percussion", "bass", "chords", "lead", "texture"]
PARTS: tuple[Part, ...] = get_args(Part)
Section = Literal["intro", "build", "drop", "break", "outro"]
SECTIONS: tuple[Section, ...] = get_args(Section)

#: Style and its usual tempo. A style is offered only when a generator can play it.
STYLE_BPM: dict[str, float] = {
    "techno_minimal": 126.0, "experimental": 130.0, "rock": 120.0, "hip_hop": 90.0, "jungle_dnb": 174.0, "dub": 70.0,
    "deep_house": 124.0, "downtempo_ambient": 85.0, "classical": 110.0, "trip_hop": 95.0,
}  # fmt: skip
TEXTURES = ("clean", "warm", "gritty", "airy", "dark", "vinyl")
EFFECTS = ("reverb", "delay", "distortion", "chorus")

MOOD_WORDS = {
    "dark": 0.1, "ominous": 0.05, "unsettling": 0.1, "melancholic": 0.2, "sad": 0.2, "moody": 0.25, "subdued": 0.3,
    "deep": 0.35, "neutral": 0.5, "warm": 0.6, "dreamy": 0.6, "chill": 0.6, "bright": 0.8, "upbeat": 0.85, "happy": 0.9,
    "euphoric": 0.95, "uplifting": 0.9, "emotional": 0.3, "ethereal": 0.6, "psychedelic": 0.45, "weird": 0.3,
    "funky": 0.75, "romantic": 0.55, "mysterious": 0.2, "haunting": 0.1, "gloomy": 0.1, "sinister": 0.05, "nostalgic": 0.4,
    "hopeful": 0.75, "playful": 0.85, "joyful": 0.9, "sunny": 0.9, "peaceful": 0.6, "aggressive": 0.25, "bittersweet": 0.35,
    "lush": 0.6, "melancholy": 0.2, "tense": 0.15, "triumphant": 0.85,
}  # fmt: skip
ENERGY_WORDS = {
    "ambient": 0.15, "calm": 0.2, "chill": 0.25, "soft": 0.25, "sparse": 0.3, "subdued": 0.3, "deep": 0.45,
    "groovy": 0.6, "danceable": 0.65, "driving": 0.75, "rolling": 0.7, "hard": 0.85, "peak": 0.9, "intense": 0.9,
    "huge": 0.9, "banging": 0.95, "energetic": 0.85, "aggressive": 0.95, "upbeat": 0.75, "fat": 0.75, "tight": 0.6,
    "funky": 0.65, "lazy": 0.3, "mellow": 0.3, "gentle": 0.2, "quiet": 0.15, "relaxed": 0.25, "laid": 0.35, "slow": 0.35,
    "peaceful": 0.15, "heavy": 0.85, "powerful": 0.9, "frantic": 0.95, "epic": 0.85, "smooth": 0.4, "dreamy": 0.35,
    "ethereal": 0.25, "meditative": 0.1, "hypnotic": 0.6, "loud": 0.9, "live": 0.65,
}  # fmt: skip
COMPLEXITY_WORDS = {
    "minimal": 0.35, "simple": 0.2, "sparse": 0.2, "busy": 0.8, "complex": 0.85, "intricate": 0.9, "virtuoso": 0.95,
    "plain": 0.15, "repetitive": 0.25, "syncopated": 0.7, "glitchy": 0.85, "rich": 0.7, "shredding": 0.95,
}  # fmt: skip
PART_WORDS: dict[str, Part] = {
    "drums": "drums", "drum": "drums", "beat": "drums", "beats": "drums", "kick": "drums", "hats": "drums",
    "hihat": "drums", "909": "drums", "808": "drums", "snare": "drums", "breakbeat": "drums", "breakbeats": "drums",
    "percussion": "percussion", "perc": "percussion", "congas": "percussion", "bongos": "percussion",
    "shaker": "percussion", "tambourine": "percussion", "timpani": "percussion", "bass": "bass", "bassline": "bass",
    "303": "bass", "sub": "bass", "chords": "chords", "chord": "chords", "stab": "chords", "stabs": "chords",
    "pads": "chords", "pad": "chords", "piano": "chords", "rhodes": "chords", "strings": "chords", "lead": "lead",
    "melody": "lead", "arp": "lead", "arpeggio": "lead", "pluck": "lead", "bells": "lead", "solo": "lead",
    "texture": "texture", "drone": "texture", "noise": "texture", "atmosphere": "texture", "ambience": "texture",
    "riser": "texture",
}  # fmt: skip
EFFECT_WORDS = {
    "reverb": "reverb", "spacey": "reverb", "spacious": "reverb", "echo": "delay", "delay": "delay", "dub": "delay",
    "echoes": "delay", "distortion": "distortion", "crunchy": "distortion", "saturated": "distortion",
    "distorted": "distortion", "overdriven": "distortion", "chorus": "chorus", "swirling": "chorus", "phaser": "chorus",
    "phasers": "chorus", "wet": "reverb", "cavernous": "reverb",
}  # fmt: skip
TEXTURE_WORDS = {
    **{word: word for word in TEXTURES}, "lofi": "vinyl", "dusty": "vinyl", "crackling": "vinyl", "dirty": "gritty",
    "crunchy": "gritty", "saturated": "gritty", "raw": "gritty", "ethereal": "airy", "bright": "airy", "mellow": "warm",
    "analog": "warm", "lush": "warm", "muffled": "dark", "murky": "dark",
}  # fmt: skip
SECTION_WORDS: dict[str, Section] = {
    "intro": "intro", "introduction": "intro", "build": "build", "buildup": "build", "build up": "build", "drop": "drop",
    "break": "break", "breakdown": "break", "bridge": "break", "outro": "outro", "ending": "outro",
}  # fmt: skip

#: What a genre is played as. The longest phrase found in the prompt decides, then the one that stands first.
STYLE_WORDS: dict[str, str] = {
    phrase: style
    for style, phrases in {
        "techno_minimal": (
            "minimal techno", "techno minimal", "techno", "dub techno", "acid techno", "detroit techno", "minimal", "trance",
            "psytrance", "edm", "acid", "industrial", "electro", "tech house", "hard techno", "hardstyle",
        ),
        "experimental": (
            "experimental", "avant garde", "glitch", "idm", "glitch hop", "noise music", "musique concrete", "chiptune",
            "hyperpop", "witch house", "electroacoustic", "weird noises", "braindance",
        ),
        "rock": (
            "rock", "blues rock", "classic rock", "garage rock", "surf rock", "psychedelic rock", "punk", "post punk", "metal",
            "funk metal", "indie rock", "shoegaze", "grunge", "indie pop", "alternative", "country", "alternative country",
            "bluegrass", "jam band", "blues", "pop", "synthpop", "celtic folk", "irish folk", "polka", "marching band",
            "hard rock", "krautrock", "new wave",
        ),
        "hip_hop": (
            "hip hop", "hiphop", "boom bap", "rap", "trap", "trap beat", "g funk", "lo fi hip hop", "lofi hip hop",
            "r and b", "rnb", "contemporary r and b", "neo soul", "soul", "new jack swing", "grime", "drill", "funk",
            "jazz fusion", "latin jazz", "lofi", "lo fi", "crunk", "phonk",
        ),
        "jungle_dnb": (
            "jungle", "dnb", "jungle dnb", "drum and bass", "drum n bass", "breakcore", "breakbeat", "liquid",
            "neurofunk", "amen",
            "liquid drum and bass", "liquid dnb", "big beat", "footwork",
        ),
        "dub": (
            "dub", "reggae", "jamaican dub", "roots reggae", "ska", "dancehall", "steppers", "rocksteady", "dubstep",
            "reggaeton", "dub reggae", "cumbia", "moombahton", "one drop",
        ),
        "deep_house": (
            "deep house", "house", "garage", "uk garage", "disco", "disco funk", "nu disco", "electro swing", "afro house",
            "afrobeat", "salsa", "merengue", "bossa nova", "indie electronic", "french house", "chicago house", "lounge house",
            "bhangra", "samba", "progressive house",
        ),
        "downtempo_ambient": (
            "ambient", "downtempo", "chillout", "chill out", "new age", "drone music", "meditation", "soundscape",
            "soundscapes", "space music", "vaporwave", "ambient music", "indian classical", "bengal baul", "indie folk", "folk",
            "dark ambient", "lounge",
        ),
        "classical": (
            "classical", "classical music", "orchestral", "orchestral score", "baroque", "renaissance music", "renaissance",
            "string quartet", "chamber music", "symphony", "symphonic", "romantic era", "piano ballad", "film score",
            "cinematic", "opera", "waltz", "minuet", "neoclassical", "ragtime",
        ),
        "trip_hop": (
            "trip hop", "triphop", "acid jazz", "jazz", "noir", "bristol", "abstract hip hop", "smoky jazz", "nu jazz",
        ),
    }.items()
    for phrase in phrases
}  # fmt: skip

#: An instrument that can be asked for, and the parts it can play, the likeliest first.
INSTRUMENT_PARTS: dict[str, tuple[Part, ...]] = {
    "acid": ("bass",), "reese": ("bass",), "sub": ("bass",), "rubber": ("bass",), "electric_bass": ("bass",),
    "upright": ("bass",), "cello": ("bass", "lead"), "glass": ("chords",), "rhodes": ("chords", "lead"),
    "organ": ("chords",), "wash": ("chords",), "piano": ("chords", "lead"), "strings": ("chords", "lead"),
    "guitar": ("lead", "chords"), "power": ("chords",), "overdrive": ("lead",), "skank": ("chords",),
    "harpsichord": ("chords", "lead"), "harp": ("lead", "chords"), "brass": ("lead", "chords"), "stab": ("chords",),
    "bell": ("lead",), "pluck": ("lead",), "mallet": ("lead", "chords"), "violin": ("lead",), "flute": ("lead",),
    "melodica": ("lead",), "theremin": ("lead",), "reed": ("lead",), "boom": ("drums",), "conga": ("percussion",),
    "shaker": ("percussion",), "tambourine": ("percussion",), "timpani": ("percussion",), "woodblock": ("percussion",),
    "cowbell": ("percussion",), "triangle": ("percussion",), "tom": ("percussion",),
}  # fmt: skip
#: What people call those instruments, and what comes nearest to others. The guide of Lyria names most of them.
INSTRUMENT_WORDS: dict[str, str] = {
    phrase: instrument
    for instrument, phrases in {
        "acid": ("303", "tb 303", "acid bass", "303 acid bass", "acid line"), "reese": ("reese", "growl bass", "boomy bass"),
        "sub": ("sub bass", "sub", "808 bass"), "rubber": ("fm bass", "slap bass"),
        "electric_bass": ("bass guitar", "electric bass", "precision bass", "fretless bass", "picked bass"),
        "upright": ("upright bass", "double bass", "contrabass", "acoustic bass", "tuba"),
        "cello": ("cello", "cellos", "viola"), "glass": ("dx7", "fm piano", "glass pad"),
        "rhodes": ("rhodes", "rhodes piano", "electric piano", "wurlitzer", "e piano"),
        "organ": ("organ", "hammond", "hammond organ", "accordion", "harmonium", "bagpipes", "hurdy gurdy"),
        "wash": ("synth pads", "synth pad", "pads", "pad", "warm pad", "choir", "sustained chords"),
        "piano": ("piano", "grand piano", "smooth pianos", "ragtime piano", "pianos"),
        "strings": ("strings", "string section", "orchestra", "viola ensemble", "mellotron", "string ensemble",
                    "rich orchestration", "string quartet"),
        "guitar": ("guitar", "acoustic guitar", "warm acoustic guitar", "flamenco guitar", "nylon guitar", "banjo",
                   "mandolin", "sitar", "koto", "shamisen", "pipa", "bouzouki", "charango", "balalaika",
                   "balalaika ensemble", "persian tar", "lute", "ukulele"),
        "power": ("electric guitar", "distorted guitar", "power chords", "guitar riff", "crunchy guitar"),
        "overdrive": ("shredding guitar", "guitar solo", "slide guitar", "lead guitar", "metallic twang"),
        "skank": ("skank", "guitar skank", "offbeat guitar", "organ bubble"), "harpsichord": ("harpsichord", "clavichord",
                                                                                            "clavinet", "dulcimer"),
        "harp": ("harp", "lyre"), "brass": ("brass", "trumpet", "trombone", "horns", "horn", "french horn"),
        "stab": ("stab", "stabs", "rave stab", "house stab", "chord stab"),
        "bell": ("bell", "bells", "glockenspiel", "celesta", "music box", "tubular bells", "steel drum", "hang drum"),
        "pluck": ("pluck", "plucks", "synth pluck", "buchla synths"),
        "mallet": ("marimba", "vibraphone", "kalimba", "mbira", "xylophone", "vibes"),
        "violin": ("violin", "fiddle", "violins"), "flute": ("flute", "ocarina", "woodwinds", "clarinet", "bass clarinet",
                                                             "recorder", "pan flute", "didgeridoo"),
        "melodica": ("melodica", "harmonica"), "theremin": ("theremin", "spacey synths", "moog oscillations", "whistle"),
        "reed": ("saxophone", "alto saxophone", "sax", "oboe", "dirty synths", "synth lead"),
        "boom": ("808", "tr 808", "808 hip hop beat", "808 kick"),
        "conga": ("conga", "congas", "conga drums", "bongo", "bongos", "djembe", "tabla", "hand drums"),
        "shaker": ("shaker", "shakers", "maracas"), "tambourine": ("tambourine",), "timpani": ("timpani", "timpanis"),
        "woodblock": ("woodblock", "claves", "clave", "castanets"), "cowbell": ("cowbell",), "triangle": ("triangle",),
        "tom": ("toms", "tom", "drumline", "taiko"),
    }.items()
    for phrase in phrases
}  # fmt: skip
#: Prompts worth trying, by style.
SUGGESTIONS: dict[str, tuple[str, ...]] = {
    "techno_minimal": (
        "minimal techno, dry kick, rolling bass, A minor",
        "dub techno chords with long echo, sparse drums, F minor",
        "hypnotic techno, bell arpeggio over a driving beat, D dorian",
        "minimal techno, dark warehouse groove, metallic percussion, E phrygian",
    ),
    "experimental": ("experimental, glitchy percussion, ominous drone, B minor", "idm, weird bells, complex, F# dorian"),
    "rock": ("classic rock, crunchy power chords, E minor", "garage rock, energetic, bass guitar, organ, A mixolydian"),
    "hip_hop": ("boom bap hip hop, mellow electric piano, G dorian", "lo-fi hip hop, dusty, piano, C minor"),
    "jungle_dnb": ("jungle, chopped breaks, reese bass, F minor", "liquid drum and bass, warm rhodes, dreamy, E minor"),
    "dub": ("dub reggae, organ skank, melodica, A minor", "steppers dub, heavy sub bass, cavernous echo, G minor"),
    "deep_house": ("deep house, warm rhodes, congas, C minor", "deep house, organ stabs, groovy, A dorian"),
    "downtempo_ambient": ("ambient, airy pads, kalimba, calm, D major", "downtempo, warm electric piano, sparse, F minor"),
    "classical": ("orchestral score, strings and harp, epic, D minor", "baroque, harpsichord and cello, G major"),
    "trip_hop": ("trip hop, dusty drums, upright bass, haunting theremin, D minor", "trip hop, rhodes, vinyl, C minor"),
}
