"""PixArt-α and PixArt-Σ: a diffusion transformer that reads T5 (Chen et al., 2023 and 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

from services.generator.checkpoint import Checkpoint
from services.generator.diffusion import Diffusion
from services.generator.family import Conditions
from services.generator.texts import tokenize

# Tokens that each was trained to read; its tokenizer does not say.
_LIMITS = {"PixArtAlphaPipeline": 120, "PixArtSigmaPipeline": 300}


class PixArt(Diffusion):
    """A T5 text encoder; the kind trained at several sides is told the picture's."""

    def __init__(self, checkpoint: Checkpoint, *, compiled: bool = False) -> None:
        transformer = checkpoint.parts["transformer"]
        super().__init__(checkpoint, transformer, patch=int(transformer.config.patch_size), compiled=compiled)
        self._limit = _LIMITS.get(checkpoint.options["_class_name"], min(_LIMITS.values()))

    def read(self, text: str, size: int, /) -> tuple[Conditions, tuple[str, ...]]:
        """States of the text encoder (1, tokens, width) and which of them are words; for some, numbers of the size."""
        tokens = tokenize(self._parts["tokenizer"], text.lower().strip(), self._limit)
        mask = tokens.mask.to(self.device)
        states = self._parts["text_encoder"](tokens.ids.to(self.device), attention_mask=mask).last_hidden_state
        condition = {"encoder_hidden_states": states, "encoder_attention_mask": mask}
        if self._net.use_additional_conditions:
            side = float(self.side(size))
            condition["resolution"] = torch.tensor([[side, side]], dtype=states.dtype, device=self.device)
            condition["aspect_ratio"] = torch.ones(1, 1, dtype=states.dtype, device=self.device)
        return condition, tokens.cut

    def forward(self, inputs: Tensor, times: Tensor, condition: Conditions) -> Tensor:
        """One pass through the transformer; where it learned the noise's spread as well, that half is left out."""
        added = {name: condition.get(name) for name in ("resolution", "aspect_ratio")}
        guess: Tensor = self._net(
            inputs,
            encoder_hidden_states=condition["encoder_hidden_states"],
            encoder_attention_mask=condition["encoder_attention_mask"],
            timestep=times,
            added_cond_kwargs=added,
        ).sample
        return guess[:, : self._channels()]
