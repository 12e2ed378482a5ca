"""Latent diffusion with a UNet: Stable Diffusion 1 and 2, their inpainting kind, SDXL; and the model of this house.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", 2022 · Podell et al., "SDXL", 2023.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from services.core.errors import ConfigurationError
from services.generator.checkpoint import Checkpoint
from services.generator.diffusion import Diffusion
from services.generator.family import Conditions
from services.generator.texts import tokenize


class StableDiffusion(Diffusion):
    """One CLIP text encoder; with 2·C + 1 input channels the UNet fills in masks."""

    def __init__(self, checkpoint: Checkpoint, *, compiled: bool = False) -> None:
        """Raises ConfigurationError for a UNet that wants inputs which nobody here can give it."""
        unet = checkpoint.parts["unet"].to(memory_format=torch.channels_last)
        super().__init__(checkpoint, unet, compiled=compiled)
        given, latents = int(unet.config.in_channels), self._channels()
        if given not in (latents, 2 * latents + 1):
            raise ConfigurationError(
                f"model: its unet reads {given} channels; {latents} or {2 * latents + 1} are known"
            )
        if unet.config.time_cond_proj_dim is not None:
            raise ConfigurationError("model: its unet wants the scale of guidance as an input, which is not supported")
        self._inpaints = given != latents

    def read(self, text: str, _size: int, /) -> tuple[Conditions, tuple[str, ...]]:
        """The last hidden states of the text encoder, (1, tokens, width)."""
        tokenizer = self._parts["tokenizer"]
        tokens = tokenize(tokenizer, text, tokenizer.model_max_length)
        states = self._parts["text_encoder"](tokens.ids.to(self.device)).last_hidden_state
        return {"encoder_hidden_states": states}, tokens.cut

    def forward(self, inputs: Tensor, times: Tensor, condition: Conditions) -> Tensor:
        """One pass through the UNet."""
        guess: Tensor = self._net(inputs, times, condition["encoder_hidden_states"]).sample
        return guess

    def surroundings(self, picture: Tensor | None, mask: Tensor | None, size: int, /) -> Tensor | None:
        """For an inpainting UNet the mask and the latents of the picture without what the mask marks."""
        if not self._inpaints:
            return None
        side = self.side(size)
        if picture is None or mask is None:
            picture = torch.zeros(1, 3, side, side, device=self.device)
            mask = torch.ones(1, 1, side, side, device=self.device)
        return torch.cat([self.encode_mask(mask), self.encode(picture * (1 - mask))], dim=1)


class StableDiffusionXL(StableDiffusion):
    """Two CLIP text encoders, and what the picture's size is said to be."""

    def __init__(self, checkpoint: Checkpoint, *, compiled: bool = False) -> None:
        """`force_zeros_for_empty_prompt` of model_index.json says that the empty text is not read but all zeros."""
        super().__init__(checkpoint, compiled=compiled)
        self._empty_is_zero = bool(checkpoint.options.get("force_zeros_for_empty_prompt", True))

    def read(self, text: str, size: int, /) -> tuple[Conditions, tuple[str, ...]]:
        """The next to last hidden states of both encoders side by side, the second's projection, the size's numbers."""
        first, _pooled, cut = self._encode(text, "")
        second, pooled, cut_too = self._encode(text, "_2")
        states = torch.cat([first, second], dim=-1)
        if not text and self._empty_is_zero:
            states, pooled = torch.zeros_like(states), torch.zeros_like(pooled)
        side = self.side(size)
        # Original size, top left corner of the crop, target size: a whole picture of its own size.
        numbers = torch.tensor([[side, side, 0, 0, side, side]], dtype=states.dtype, device=states.device)
        return {"encoder_hidden_states": states, "text_embeds": pooled, "time_ids": numbers}, max(cut, cut_too, key=len)

    def forward(self, inputs: Tensor, times: Tensor, condition: Conditions) -> Tensor:
        """One pass through the UNet."""
        added = {name: condition[name] for name in ("text_embeds", "time_ids")}
        guess: Tensor = self._net(inputs, times, condition["encoder_hidden_states"], added_cond_kwargs=added).sample
        return guess

    def _encode(self, text: str, suffix: str) -> tuple[Tensor, Any, tuple[str, ...]]:
        tokenizer, encoder = self._parts[f"tokenizer{suffix}"], self._parts[f"text_encoder{suffix}"]
        tokens = tokenize(tokenizer, text, tokenizer.model_max_length)
        output = encoder(tokens.ids.to(self.device), output_hidden_states=True)
        return output.hidden_states[-2], output[0], tokens.cut
