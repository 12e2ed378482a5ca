"""Randomly initialised checkpoints of the classes of full-size models, written by diffusers' own pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel

from services.core.torch_compat import guard_torchvision
from services.generator.checkpoint import Card, Checkpoint, folder_digest, load_checkpoint

guard_torchvision()

CPU = torch.device("cpu")
CLIP_LIMIT = 20
WIDTH = 16


def card(**changes: Any) -> Card:
    values = {
        "name": "tiny",
        "version": "1",
        "capability": "test",
        "size": 16,
        "steps": 4,
        "guidance": 3.0,
        "variation_strength": 0.5,
        "closed_vocabulary": False,
    }
    return Card.model_validate({**values, **changes})


def stable_diffusion(folder: Path, *, unet_channels: int = 4) -> None:
    """Stable Diffusion's; with nine channels its inpainting kind."""
    from diffusers import PNDMScheduler, StableDiffusionInpaintPipeline, StableDiffusionPipeline

    torch.manual_seed(0)
    kind = StableDiffusionPipeline if unet_channels == 4 else StableDiffusionInpaintPipeline
    _write(
        folder,
        kind(
            vae=_vae(),
            text_encoder=_clip(clip_tokenizer()),
            tokenizer=clip_tokenizer(),
            unet=_unet(in_channels=unet_channels, cross_attention_dim=WIDTH),
            scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1, beta_schedule="scaled_linear"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ),
        card(),
    )


def stable_diffusion_xl(folder: Path) -> None:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    unet = _unet(
        cross_attention_dim=2 * WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + WIDTH,
    )
    _write(
        folder,
        StableDiffusionXLPipeline(
            vae=_vae(),
            text_encoder=_clip(tokenizer),
            text_encoder_2=_clip(tokenizer, projected=True),
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            unet=unet,
            scheduler=EulerDiscreteScheduler(steps_offset=1, beta_schedule="scaled_linear"),
            force_zeros_for_empty_prompt=True,
            add_watermarker=False,
        ),
        card(),
    )


def pixart(folder: Path, *, told_resolution: bool = False) -> None:
    """PixArt's; the Alpha of 1024 pixels, by whose latents' side of 128 diffusers knows it, is told its resolution."""
    from diffusers import (
        DPMSolverMultistepScheduler,
        PixArtAlphaPipeline,
        PixArtSigmaPipeline,
        PixArtTransformer2DModel,
    )

    torch.manual_seed(0)
    transformer = PixArtTransformer2DModel(
        sample_size=128 if told_resolution else 32,
        patch_size=16 if told_resolution else 4,
        num_layers=2,
        num_attention_heads=3,
        attention_head_dim=8,
        cross_attention_dim=24,
        caption_channels=WIDTH,
        in_channels=4,
        out_channels=8,
        use_additional_conditions=told_resolution,
    )
    kind = PixArtAlphaPipeline if told_resolution else PixArtSigmaPipeline
    _write(
        folder,
        kind(
            tokenizer=t5_tokenizer(),
            text_encoder=_t5(),
            vae=_vae(levels=1 if told_resolution else 2),
            transformer=transformer,
            scheduler=DPMSolverMultistepScheduler(),
        ),
        card(size=128 if told_resolution else 64),
    )


def flux(folder: Path, *, reads_guidance: bool) -> None:
    """FLUX.1's: dev reads the scale of guidance and shifts its noise by the size, schnell does neither."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    transformer = FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=reads_guidance,
    )
    _write(
        folder,
        FluxPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(
                shift=3.0 if reads_guidance else 1.0, use_dynamic_shifting=reads_guidance
            ),
            vae=_vae(shift_factor=0.1),
            text_encoder=_clip(tokenizer),
            tokenizer=tokenizer,
            text_encoder_2=_t5(),
            tokenizer_2=t5_tokenizer(),
            transformer=transformer,
        ),
        card(guidance=3.5),
    )


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Checkpoint:
    return load_checkpoint(str(folder), folder_digest(folder), CPU, dtype)


def _write(folder: Path, pipeline: Any, its_card: Card) -> None:
    pipeline.save_pretrained(folder)
    (folder / "portcullis.json").write_text(its_card.model_dump_json())


def clip_tokenizer() -> Any:
    """Every letter is a token."""
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={word: place for place, word in enumerate(words)}, merges=[], model_max_length=CLIP_LIMIT
    )


def t5_tokenizer() -> Any:
    """Every letter is a token."""
    from transformers import T5Tokenizer

    letters = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((chr(97 + i), -3.0) for i in range(26))]
    return T5Tokenizer(vocab=letters, extra_ids=0)


def _clip(tokenizer: Any, *, projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=CLIP_LIMIT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def _t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=64, d_model=WIDTH, d_kv=8, d_ff=2 * WIDTH, num_layers=2, num_heads=2)
    return T5EncoderModel(config).eval()


def _unet(**changes: Any) -> Any:
    from diffusers import UNet2DConditionModel

    values = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (16, 16),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**{**values, **changes})


def _vae(levels: int = 2, shift_factor: float | None = None) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        mid_block_add_attention=levels > 1,
        block_out_channels=(8,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        norm_num_groups=4,
        scaling_factor=0.5,
        shift_factor=shift_factor,
    )
