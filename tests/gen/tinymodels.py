# SPDX-License-Identifier: GPL-3.0-or-later
"""Models of the libraries' real architectures, tiny and with random weights, and broken ones. Run by the models' interpreter:
``python -m tests.gen.tinymodels FOLDER``. What they play is noise; how they are loaded, driven and stopped is real."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
RATE, RATIO, LATENT = 44_100, 512, 8
WINDOW_S = 48
WORDS = "120 126 140 bpm techno house drum and bass loop kick snare hat dark warm pad only a minor"


def stable_audio_config(objective: str, *, inpaint: bool = False, width: int = 64, depth: int = 2) -> dict[str, Any]:
    oobleck = {"channels": 8, "c_mults": [1, 2, 2], "strides": [4, 8, 16], "use_snake": True}
    diffusion: dict[str, Any] = {
        "type": "dit", "diffusion_objective": objective,
        "cross_attention_cond_ids": ["prompt", "seconds_start", "seconds_total"],
        "global_cond_ids": ["seconds_start", "seconds_total"],
        "config": {"io_channels": LATENT, "embed_dim": width, "depth": depth, "num_heads": width // 32, "cond_token_dim": 64,
                   "global_cond_dim": 128, "project_cond_tokens": False, "transformer_type": "continuous_transformer"},
    }  # fmt: skip
    if inpaint:
        diffusion["input_concat_ids"] = ["inpaint_mask", "inpaint_masked_input"]
        diffusion["config"]["input_concat_dim"] = LATENT + 1
    seconds = [{"id": name, "type": "number", "config": {"min_val": 0, "max_val": 512}}
               for name in ("seconds_start", "seconds_total")]
    return {
        "model_type": "diffusion_cond_inpaint" if inpaint else "diffusion_cond",
        "sample_size": RATE * WINDOW_S // RATIO * RATIO, "sample_rate": RATE, "audio_channels": 2,
        "model": {
            "pretransform": {"type": "autoencoder", "iterate_batch": True, "config": {
                "encoder": {"type": "oobleck", "config": {"in_channels": 2, "latent_dim": LATENT * 2, **oobleck}},
                "decoder": {"type": "oobleck",
                            "config": {"out_channels": 2, "latent_dim": LATENT, "final_tanh": False, **oobleck}},
                "bottleneck": {"type": "vae"}, "latent_dim": LATENT, "downsampling_ratio": RATIO, "io_channels": 2,
            }},
            "conditioning": {"configs": [
                {"id": "prompt", "type": "t5", "config": {"t5_model_name": "t5-small", "max_length": 16}}, *seconds,
            ], "cond_dim": 64},
            "diffusion": diffusion, "io_channels": LATENT,
        },
    }  # fmt: skip


def tokenizer(folder: Path) -> int:
    """A word-level tokenizer; how many words it knows."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2}
    for word in WORDS.split():
        vocabulary.setdefault(word, len(vocabulary))
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    fast.save_pretrained(folder)
    return len(vocabulary)


def stable_audio(
    folder: Path, objective: str, *, inpaint: bool = False, encoder: Path | None = None, width: int = 64, depth: int = 2
) -> None:
    """Fresh weights have zeroed output layers: they are filled, so that prompt and seed are heard."""
    import torch
    from safetensors.torch import save_file
    from transformers import T5Config, T5EncoderModel

    from appliance.gen.backends.stable_audio import standins

    standins.install()
    from stable_audio_tools.models.factory import create_model_from_config

    folder.mkdir(parents=True)
    if encoder is None:
        words = tokenizer(folder / "t5-small")
        T5EncoderModel(T5Config(vocab_size=words, d_model=512, d_kv=16, d_ff=64, num_layers=1, num_heads=2)).save_pretrained(
            folder / "t5-small")
    else:
        shutil.copytree(encoder, folder / "t5-small")
    config = stable_audio_config(objective, inpaint=inpaint, width=width, depth=depth)
    (folder / "model_config.json").write_text(json.dumps(config))
    torch.manual_seed(1)
    os.chdir(folder)
    model = create_model_from_config(config)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1 and float(weights.abs().max()) == 0:
                weights.copy_(torch.randn(weights.shape) * 0.05)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    os.chdir(folder.parent)


class Evil:
    """What runs when its pickle is loaded with code allowed."""

    def __reduce__(self) -> Any:
        return os.system, ("touch ran_code",)


def broken(folder: Path) -> None:
    """Models that cannot be loaded, and why."""
    import torch
    from safetensors.torch import load_file

    good = folder / "flow"
    weights = load_file(good / "model.safetensors")
    pickles = ("no_weights", "pickle", "evil", "evil_allowed", "cut_pickle", "text_pickle")
    for name in (*pickles, "truncated", "other", "autoencoder", "no_json"):
        shutil.copytree(good, folder / name)
    whole = (good / "model.safetensors").read_bytes()
    (folder / "truncated" / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    for name in pickles:
        (folder / name / "model.safetensors").unlink()
    torch.save({"state_dict": weights}, folder / "pickle" / "model.ckpt")
    torch.save({"state_dict": weights, "extra": Evil()}, folder / "evil" / "model.ckpt")
    torch.save({"state_dict": weights, "extra": Evil()}, folder / "evil_allowed" / "model.ckpt")
    whole = (folder / "pickle" / "model.ckpt").read_bytes()
    (folder / "cut_pickle" / "model.ckpt").write_bytes(whole[: len(whole) // 2])
    (folder / "text_pickle" / "model.ckpt").write_text("<html>404</html>")
    config = json.loads((good / "model_config.json").read_text())
    config["model"]["diffusion"]["config"]["embed_dim"] = 32
    (folder / "other" / "model_config.json").write_text(json.dumps(config))
    (folder / "autoencoder" / "model_config.json").write_text(json.dumps(config | {"model_type": "autoencoder"}))
    (folder / "no_json" / "model_config.json").write_text("{")


def musicgen(folder: Path) -> None:
    import torch
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        T5Config,
    )

    torch.manual_seed(2)
    words = tokenizer(folder)
    text = T5Config(vocab_size=words, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    audio = EncodecConfig(
        sampling_rate=32_000, audio_channels=1, num_filters=4, hidden_size=16, codebook_size=64, codebook_dim=16,
        upsampling_ratios=[8, 5, 4, 4], target_bandwidths=[2.2], num_lstm_layers=1, use_causal_conv=False,
        norm_type="weight_norm",
    )  # fmt: skip
    decoder = MusicgenDecoderConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, ffn_dim=32,
                                    num_codebooks=4, pad_token_id=64, bos_token_id=64)
    model = MusicgenForConditionalGeneration(MusicgenConfig(text_encoder=text, audio_encoder=audio, decoder=decoder))
    for layer in model.audio_encoder.quantizer.layers:  # fresh ones hold nothing, and all tokens sound alike
        layer.codebook.embed.normal_()
    model.generation_config.decoder_start_token_id = 64
    model.generation_config.pad_token_id = model.generation_config.bos_token_id = 64
    model.save_pretrained(folder)


def dia(folder: Path) -> None:
    """Of speech, and the codec that it speaks through."""
    import torch
    from transformers import (
        DacConfig,
        DacModel,
        DiaConfig,
        DiaDecoderConfig,
        DiaEncoderConfig,
        DiaFeatureExtractor,
        DiaForConditionalGeneration,
        DiaTokenizer,
    )

    torch.manual_seed(4)
    small = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16,
             "intermediate_size": 32}
    config = DiaConfig(
        encoder_config=DiaEncoderConfig(**small),
        decoder_config=DiaDecoderConfig(**small, cross_num_attention_heads=2, cross_num_key_value_heads=2, cross_head_dim=16,
                                        cross_hidden_size=32),
    )  # fmt: skip
    DiaForConditionalGeneration(config).save_pretrained(folder / "dia")
    DiaTokenizer().save_pretrained(folder / "dia")
    DiaFeatureExtractor(sampling_rate=RATE, hop_length=512).save_pretrained(folder / "dia")
    DacModel(DacConfig(encoder_hidden_size=4, decoder_hidden_size=16, sampling_rate=RATE)).save_pretrained(folder / "dac")


def demucs(folder: Path) -> None:
    """A bag of one model, as .th with its checksum; as safetensors; and one that names a program as its class."""
    import torch
    import yaml
    from demucs import states
    from demucs.htdemucs import HTDemucs
    from safetensors.torch import save_file

    torch.manual_seed(3)
    sources = ["drums", "bass", "other", "vocals"]
    arguments = {"channels": 8, "t_layers": 1, "t_heads": 2, "bottom_channels": 0, "depth": 4, "segment": 2, "samplerate": RATE,
                 "nfft": 4096}
    model = HTDemucs(sources, **arguments).eval()
    for name in ("th", "safe", "evil"):
        (folder / name).mkdir(parents=True)
        (folder / name / "tiny.yaml").write_text(yaml.safe_dump({"models": ["sig"]}))
    package = {"klass": HTDemucs, "args": (sources,), "kwargs": arguments, "state": states.get_state(model, None),
               "training_args": {}}
    states.save_with_checksum(package, folder / "th" / "sig.th")
    about = {"args": json.dumps([sources]), "kwargs": json.dumps(arguments)}
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "safe" / "sig.safetensors", {"klass": "demucs.htdemucs.HTDemucs", **about})
    evil = {"klass": "os.system", "args": '["touch ran_code"]', "kwargs": "{}"}
    save_file(tensors, folder / "evil" / "sig.safetensors", evil)


def main(folder: Path) -> None:
    stable_audio(folder / "flow", "rectified_flow")
    stable_audio(folder / "v", "v", encoder=folder / "flow" / "t5-small")
    stable_audio(folder / "inpaint", "rf_denoiser", inpaint=True, encoder=folder / "flow" / "t5-small")
    broken(folder)
    musicgen(folder / "musicgen")
    dia(folder)
    demucs(folder / "demucs")


if __name__ == "__main__":
    if "--large" in sys.argv:  # for benchmarks: 100 million weights
        stable_audio(Path(sys.argv[1]).resolve() / "large", "rectified_flow", width=768, depth=12)
    else:
        main(Path(sys.argv[1]).resolve())
