"""Trains what makes pixels of latents, and what reads them in pictures: `python -m training.generator.autoencoder`.

Neither needs the other, nor the diffusion model, as what latents say is known of every scene.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from services.core.torch_compat import guard_torchvision
from training.generator.clip import load_clip
from training.generator.painting import train_painter
from training.generator.reading import begun, train_reader


def main() -> None:
    """Reads the arguments, trains, saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/scenes/vae"), help="where the autoencoder goes")
    parser.add_argument("--clip", type=Path, default=Path("models/scenes-clip"), help="the tiny CLIP")
    parser.add_argument("--init", type=Path, help="an autoencoder whose reader learns on; its painter stays")
    parser.add_argument("--painter-steps", type=int, default=6000, help="steps for each of the painter's three parts")
    parser.add_argument("--reader-steps", type=int, default=12_000, help="steps of 32 pictures for the reader")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    guard_torchvision()
    from services.generator.scene_autoencoder import SceneAutoencoder

    if arguments.init:
        autoencoder = SceneAutoencoder.from_pretrained(arguments.init, torch_dtype=torch.float32)
    else:
        autoencoder = SceneAutoencoder()
        autoencoder.painter = train_painter(arguments.painter_steps)
        autoencoder.reader = begun(load_clip(arguments.clip))
    autoencoder.reader = train_reader(autoencoder.reader, rng, arguments.reader_steps)
    autoencoder.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
