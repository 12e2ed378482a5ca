"""A generator's model that takes any words."""

from __future__ import annotations

import json
from pathlib import Path

from services.generator.checkpoint import folder_digest
from tests.unit.generator.conftest import write_tiny_model


def open_model(folder: Path) -> dict[str, str]:
    """Writes a tiny one of Stable Diffusion's classes, with random weights; returns the generator's settings for it."""
    write_tiny_model(folder, latent=True)
    card = json.loads((folder / "portcullis.json").read_text()) | {"closed_vocabulary": False}
    (folder / "portcullis.json").write_text(json.dumps(card))
    return {
        "PORTCULLIS_GENERATOR_MODEL": str(folder),
        "PORTCULLIS_GENERATOR_MODEL_SHA256": folder_digest(folder),
    }
