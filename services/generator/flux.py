"""FLUX.1: a transformer that flows from noise to latents (Black Forest Labs, 2024; Esser et al., 2024)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from services.generator.checkpoint import Checkpoint
from services.generator.diffusion import Diffusion
from services.generator.family import Condition, Conditions
from services.generator.job import Job
from services.generator.texts import tokenize

_TRAINED_STEPS = 1000
_PATCH = 2


class Flux(Diffusion):
    """CLIP's pooled words and T5's states; the scale of guidance is an input (dev) or distilled away (schnell)."""

    def __init__(self, checkpoint: Checkpoint, *, compiled: bool = False) -> None:
        super().__init__(checkpoint, checkpoint.parts["transformer"], patch=_PATCH, compiled=compiled)
        self._reads_guidance = bool(self._net.config.guidance_embeds)
        self._flow = _under_common_names(type(checkpoint.parts["scheduler"]))
        self._limit = 512 if self._reads_guidance else 256  # T5 tokens, as each was trained

    def guided(self, _job: Job, /) -> bool:
        """Never from outside: what would be guidance without a classifier is in the network."""
        return False

    def condition(self, job: Job, /) -> Condition:
        """The words, and for the kind that reads it the scale of guidance."""
        wanted, cut = self.read(job.words, job.size)
        if not self._reads_guidance:
            return Condition(wanted, None, cut)
        scale = torch.tensor([job.guidance or self.card.guidance], device=self.device)
        return Condition({**wanted, "guidance": scale}, None, cut)

    def scheduler(self, steps: int, size: int, /) -> Any:
        """Its noise shifted towards the early steps; where the checkpoint says so, the more the larger the picture."""
        config = self._parts["scheduler"].config
        scheduler = self._flow.from_config(config)
        positions = (size // (_PATCH * self._pixels.factor)) ** 2
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=_shift(config, positions))
        return scheduler

    def side(self, size: int, /) -> int:
        """Any size: its positions are told, not learned."""
        return size

    def read(self, text: str, _size: int, /) -> tuple[Conditions, tuple[str, ...]]:
        """CLIP's pooled states (1, width) and T5's (1, tokens, width); only what T5 does not see counts as cut."""
        short = self._parts["tokenizer"]
        brief = tokenize(short, text, short.model_max_length)
        full = tokenize(self._parts["tokenizer_2"], text, self._limit)
        pooled = self._parts["text_encoder"](brief.ids.to(self.device)).pooler_output
        states = self._parts["text_encoder_2"](full.ids.to(self.device)).last_hidden_state
        return {"encoder_hidden_states": states, "pooled_projections": pooled}, full.cut

    def forward(self, inputs: Tensor, times: Tensor, condition: Conditions) -> Tensor:
        """One pass through the transformer, over patches of latents as a sequence."""
        patches = functional.pixel_unshuffle(inputs, _PATCH)
        height, width = patches.shape[-2:]
        guess: Tensor = self._net(
            hidden_states=patches.flatten(2).transpose(1, 2),
            timestep=times.float() / _TRAINED_STEPS,
            img_ids=_places(height, width, inputs),
            txt_ids=torch.zeros(condition["encoder_hidden_states"].shape[1], 3).to(inputs),
            guidance=condition.get("guidance"),
            encoder_hidden_states=condition["encoder_hidden_states"],
            pooled_projections=condition["pooled_projections"],
        ).sample
        return functional.pixel_shuffle(guess.transpose(1, 2).unflatten(2, (height, width)), _PATCH)


def _places(height: int, width: int, like: Tensor) -> Tensor:
    """(0, row, column) of each position: (height · width, 3)."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([torch.zeros_like(rows), rows, columns], dim=-1).flatten(0, 1).to(like)


def _shift(config: Any, positions: int) -> float:
    """How far the noise is shifted: on the line between those of the shortest and the longest sequence trained on."""
    low, high = config.base_image_seq_len, config.max_image_seq_len
    share = (positions - low) / (high - low)
    return float(config.base_shift + share * (config.max_shift - config.base_shift))


def _under_common_names(scheduler: type[Any]) -> type[Any]:
    """The class of a flow-matching scheduler, to be driven as all others are."""
    return type(
        scheduler.__name__,
        (scheduler,),
        {
            "init_noise_sigma": 1.0,
            "scale_model_input": lambda _self, sample, _time: sample,
            "add_noise": lambda self, clean, noise, time: self.scale_noise(clean, time, noise),
        },
    )
