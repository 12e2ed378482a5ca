"""Which family a loaded model belongs to."""

from __future__ import annotations

from services.core.errors import ConfigurationError
from services.generator.checkpoint import Checkpoint
from services.generator.family import Family
from services.generator.flux import Flux
from services.generator.kandinsky import Kandinsky
from services.generator.pixart import PixArt
from services.generator.stable_diffusion import StableDiffusion, StableDiffusionXL


def build_family(checkpoint: Checkpoint, *, compiled: bool = False) -> Family:
    """The family that runs the parts of `checkpoint`; raises ConfigurationError where none does."""
    parts = checkpoint.parts
    match [type(parts[name]).__name__ for name in ("unet", "transformer") if name in parts]:
        case ["UNet2DConditionModel"] if "text_encoder_2" in parts:
            return StableDiffusionXL(checkpoint, compiled=compiled)
        case ["UNet2DConditionModel"] if parts["unet"].config.encoder_hid_dim_type == "text_image_proj":
            return Kandinsky(checkpoint, compiled=compiled)
        case ["UNet2DConditionModel"]:
            return StableDiffusion(checkpoint, compiled=compiled)
        case ["PixArtTransformer2DModel"]:
            return PixArt(checkpoint, compiled=compiled)
        case ["FluxTransformer2DModel"] if "text_encoder_2" in parts:
            return Flux(checkpoint, compiled=compiled)
        case other:
            raise ConfigurationError(f"model: no family here is built around {' and '.join(other) or 'no network'}")
