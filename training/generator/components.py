"""The embedded model's parts before training: word tokenizer, small CLIP text encoder, small UNet, DDIM scheduler."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from services.core.torch_compat import guard_torchvision
from training.generator.scenes import COLOURS, MAX_TOKENS, RELATIONS, SHAPES, SIDE

if TYPE_CHECKING:
    from diffusers import DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, PreTrainedTokenizerFast

guard_torchvision()

PACK = 4  # the UNet sees 4×4 pixels as one position of 48 channels, as FLUX packs its latents
_SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")
_GLUE = ("a", "an", "the", "and", "on", "to", "background")


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, lower-cased, punctuation apart; `<start> … <end>` around."""
    from transformers import PreTrainedTokenizerFast

    words = [*_SPECIAL, *_GLUE, *(word for relation in RELATIONS for word in relation.split()), *COLOURS, *SHAPES]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(words))}
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
    """12×12 positions of 48 channels; cross-attention at 6×6 and 3×3, and the pooled text beside the time embedding."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE // PACK,
        in_channels=3 * PACK * PACK,
        out_channels=3 * PACK * PACK,
        block_out_channels=(64, 96, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=96,
        attention_head_dim=4,
        norm_num_groups=16,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


def build_scheduler() -> DDIMScheduler:
    """Predicts the clean picture; a cosine schedule moved by 3 towards noise (Hoogeboom et al., 2023).

    Large plain shapes are visible long before the cosine's middle; the shift spends steps where the layout is decided.
    """
    from diffusers import DDIMScheduler

    steps, shift = 1000, 3.0
    times = [(index + 1) / (steps + 1) for index in range(steps)]
    kept = [1 / (1 + (shift * math.tan(math.pi * time / 2)) ** 2) for time in times]
    betas = [1 - now / before for before, now in zip([1.0, *kept], kept, strict=False)]
    return DDIMScheduler(
        num_train_timesteps=steps,
        trained_betas=betas,
        prediction_type="sample",
        clip_sample=True,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
    )


def save(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    text_encoder: CLIPTextModel,
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
) -> None:
    """Writes diffusers' layout: a folder a component and `model_index.json`, weights as safetensors alone."""
    tokenizer.save_pretrained(folder / "tokenizer")
    text_encoder.save_pretrained(folder / "text_encoder")
    unet.save_pretrained(folder / "unet", safe_serialization=True)
    scheduler.save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "DiffusionPipeline",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def pack(pictures: torch.Tensor) -> torch.Tensor:
    """(N, 3, S, S) pixels to the UNet's (N, 48, S/4, S/4)."""
    return torch.nn.functional.pixel_unshuffle(pictures, PACK)
