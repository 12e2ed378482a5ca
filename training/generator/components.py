"""The embedded model's parts before training: word tokenizer, small CLIP text encoder, UNet, scheduler."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from services.core.torch_compat import guard_torchvision
from services.generator.scene_latents import LATENTS
from training.generator.captions import MAX_TOKENS, words
from training.generator.codes import SIDE

if TYPE_CHECKING:
    from diffusers import DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, PreTrainedTokenizerFast

guard_torchvision()

IMAGE_EMBEDDING = 192  # what a picture shows, and zeros; the width of cross-attention
_SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, lower-cased, punctuation apart; `<start> … <end>` around."""
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate((*_SPECIAL, *words()))}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>",
        special_tokens=[("<start>", vocabulary["<start>"]), ("<end>", vocabulary["<end>"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<start>",
        eos_token="<end>",
        unk_token="<unknown>",
        model_max_length=MAX_TOKENS,
    )


def build_text_encoder(tokenizer: PreTrainedTokenizerFast) -> CLIPTextModel:
    """Three layers of 96, trained together with the UNet."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def build_unet() -> UNet2DConditionModel:
    """8×8 positions of 31 channels; attends to the words and to ten tokens made of what a picture shows.

    Such a pair of conditions is Kandinsky 2.1's (`text_image_proj`); the pooled words go beside the time embedding.
    """
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=LATENTS,
        out_channels=LATENTS,
        block_out_channels=(96, 144),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=IMAGE_EMBEDDING,
        encoder_hid_dim=96,
        encoder_hid_dim_type="text_image_proj",
        attention_head_dim=4,
        norm_num_groups=16,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


def build_networks(tokenizer: PreTrainedTokenizerFast) -> tuple[CLIPTextModel, UNet2DConditionModel]:
    """What is trained together."""
    return build_text_encoder(tokenizer), build_unet()


def load_networks(folder: Path) -> tuple[CLIPTextModel, UNet2DConditionModel]:
    """The same of a model that was trained before, as float32."""
    import torch
    from diffusers import UNet2DConditionModel
    from diffusers.utils import logging
    from transformers import CLIPTextModel

    logging.set_verbosity_error()  # nothing here needs the package that it recommends
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    return text_encoder, UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)


def build_scheduler() -> DDIMScheduler:
    """Predicts the clean latents; a cosine schedule moved by 6 towards noise (Hoogeboom et al., 2023).

    All positions of an object say the same of it, so what stands where can be told, and is decided, in noise that
    would drown a picture; the shift spends steps there.
    """
    from diffusers import DDIMScheduler

    steps, shift = 1000, 6.0
    times = [(index + 1) / (steps + 1) for index in range(steps)]
    kept = [1 / (1 + (shift * math.tan(math.pi * time / 2)) ** 2) for time in times]
    betas = [1 - now / before for before, now in zip([1.0, *kept], kept, strict=False)]
    return DDIMScheduler(
        num_train_timesteps=steps,
        trained_betas=betas,
        prediction_type="sample",
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
    )


def save(folder: Path, **parts: Any) -> None:
    """Writes diffusers' layout: a folder a part, their classes into `model_index.json`, beside what is there already.

    Weights are safetensors in float16, half as large.
    """
    for name, part in parts.items():
        light = copy.deepcopy(part).half() if hasattr(part, "half") else part
        light.save_pretrained(folder / name)
        _forget_where(folder / name / "config.json")
    index = folder / "model_index.json"
    known = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {"_class_name": "DiffusionPipeline"}
    known |= {name: _class(part) for name, part in parts.items()}
    index.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _forget_where(config: Path) -> None:
    """Takes out the path that the part was loaded from, which diffusers writes down."""
    if config.exists():
        known = json.loads(config.read_text(encoding="utf-8"))
        known.pop("_name_or_path", None)
        config.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _class(part: Any) -> tuple[str, str]:
    """The library and the name that a loader knows the part's class by."""
    from transformers import PreTrainedTokenizerFast

    if isinstance(part, PreTrainedTokenizerFast):
        return "transformers", "PreTrainedTokenizerFast"  # in whatever class this version of transformers keeps it
    package = type(part).__module__.partition(".")[0]
    return "portcullis" if package == "services" else package, type(part).__name__
