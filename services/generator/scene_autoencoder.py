"""Between pictures of simple scenes and latents that say what is where: the embedded model's `vae`."""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.models.autoencoders.vae import DecoderOutput, EncoderOutput
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn
from torch.nn import functional

from services.generator.painter import Painter
from services.generator.scene_latents import LATENTS, things

FACTOR = 32  # pixels of a side to one position
_SEEN = 64  # pixels of a side that the reader looks at
_TRUNK, _WIDTH, _BLOCKS = 20, 192, 4


class SceneAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers has no types
    """Pictures (N, 3, S, S), about −1 … 1 ↔ latents (N, 31, S/32, S/32); see `Painter` for what those say."""

    def __init__(self) -> None:
        """Untrained."""
        super().__init__()
        self.register_to_config(factor=FACTOR, latent_channels=LATENTS, scaling_factor=1.0)
        self.reader = Reader()
        self.painter = Painter()

    def encode(self, pictures: Tensor) -> EncoderOutput:
        """What the pictures show, as far as it is known to the model."""
        small = functional.interpolate(pictures, size=_SEEN, mode="bicubic", antialias=True).clamp(-1, 1)
        return EncoderOutput(latent=self.reader(small))

    def embed(self, pictures: Tensor, width: int) -> Tensor:
        """What pictures (N, 3, S, S) show, wherever it stands, (N, width)."""
        return things(self.encode(pictures).latent, width)

    def decode(self, latents: Tensor) -> DecoderOutput:
        """Pictures of what the latents say."""
        side = latents.shape[-1] * FACTOR
        # One at a time: all their points at once would need much memory.
        return DecoderOutput(sample=torch.cat([self.painter(each, side) for each in latents.split(1)]))


class Reader(nn.Module):  # type: ignore[misc]  # as torch has here
    """Pictures (N, 3, 64, 64) → latents (N, 31, 8, 8): CLIP's ResNet, its levels brought together.

    After Lin et al., "Feature Pyramid Networks for Object Detection", 2017.
    """

    def __init__(self) -> None:
        """5 million parameters."""
        super().__init__()
        self.trunk = ModifiedResNet([1] * 4, output_dim=1, heads=1, image_size=_SEEN, width=_TRUNK)
        self.trunk.attnpool = None
        self.conv_in = nn.Conv2d(_TRUNK * (16 + 8 + 16 + 32), _WIDTH, 1)
        self.blocks = nn.ModuleList(Block(_WIDTH) for _ in range(_BLOCKS))
        self.conv_out = nn.Conv2d(_WIDTH, LATENTS, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """What is where."""
        trunk = self.trunk
        first = trunk.layer1(trunk.stem(pictures))
        second = trunk.layer2(first)
        third = trunk.layer3(second)
        fourth = trunk.layer4(third)
        larger = [functional.interpolate(level, size=second.shape[2:]) for level in (third, fourth)]
        states = self.conv_in(torch.cat([functional.pixel_unshuffle(first, 2), second, *larger], dim=1))
        for block in self.blocks:
            states = block(states)
        latents: Tensor = self.conv_out(functional.silu(states))
        return latents.float()


class Block(nn.Module):  # type: ignore[misc]  # as torch has here
    """(N, width, S, S) → the same: two convolutions that add to it; at first nothing."""

    def __init__(self, width: int) -> None:
        """Normalised in eight groups."""
        super().__init__()
        self.n1, self.n2 = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.c1, self.c2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        nn.init.zeros_(self.c2.weight)
        nn.init.zeros_(self.c2.bias)

    def forward(self, states: Tensor) -> Tensor:
        """The states, added to."""
        inner = self.c1(functional.silu(self.n1(states)))
        outer: Tensor = self.c2(functional.silu(self.n2(inner)))
        return states + outer
