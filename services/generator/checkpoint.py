"""Loads a diffusion model, component by component, from a folder in diffusers' layout.

Only classes of the allow-list, only safetensors, only files whose sha256 is the expected one. Beside diffusers' own
files the folder holds `portcullis.json` (`Card`): what the operator must say about a model and its files cannot.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.core.artifacts import MODELS, file_sha256, load_artifact
from services.core.errors import ConfigurationError
from services.core.signals import ModelVersion
from services.core.torch_compat import guard_torchvision
from services.generator.offer import Offer

# A model needs these; every other part of the index that is on the allow-list is loaded too.
NEEDED = ("tokenizer", "text_encoder", "scheduler")
NETWORKS = ("transformer", "unet")
PARTS = (*NEEDED, *NETWORKS, "tokenizer_2", "text_encoder_2", "vae")
CLASSES = {
    ("transformers", "CLIPTextModel"),
    ("transformers", "CLIPTextModelWithProjection"),
    ("transformers", "CLIPTokenizer"),
    ("transformers", "PreTrainedTokenizerFast"),
    ("transformers", "T5EncoderModel"),
    ("transformers", "T5Tokenizer"),
    ("transformers", "T5TokenizerFast"),
    ("diffusers", "AutoencoderKL"),
    ("diffusers", "PixArtTransformer2DModel"),
    ("diffusers", "Transformer2DModel"),
    ("diffusers", "UNet2DConditionModel"),
    ("diffusers", "DDIMScheduler"),
    ("diffusers", "DPMSolverMultistepScheduler"),
    ("diffusers", "EulerAncestralDiscreteScheduler"),
    ("diffusers", "EulerDiscreteScheduler"),
    ("diffusers", "FlowMatchEulerDiscreteScheduler"),
    ("diffusers", "FluxTransformer2DModel"),
    ("diffusers", "LCMScheduler"),
    ("diffusers", "PNDMScheduler"),
    ("portcullis", "SceneAutoencoder"),
}
# Anything else might be a pickle, which runs code when it is opened; .model is SentencePiece's, a protobuf of strings.
SUFFIXES = {".json", ".safetensors", ".txt", ".md", ".model"}


class Card(BaseModel):
    """`portcullis.json`: the model's name and the values that suit it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name in answers, manifests and metrics.")
    version: str = Field(description="Version, as the model card says.")
    capability: str = Field(description='What it is, in one word ("embedded-scenes").')
    variant: str = Field("", description='Variant of its weight files ("fp16"); empty for the plain ones.')
    size: int = Field(ge=8, le=4096, description="Side of its pictures in pixels.")
    sizes: tuple[int, ...] = Field((), description="Further sides that it may be asked for.")
    steps: int = Field(ge=1, le=100, description="Denoising steps where a request names none.")
    guidance: float = Field(ge=1, le=30, description="Scale of classifier-free guidance; 1 is without.")
    variation_strength: float = Field(gt=0, le=1, description="Share of the noise that a variation starts from.")
    closed_vocabulary: bool = Field(description="Whether it knows only the words of its tokenizer.")
    synonyms: dict[str, str] = Field(
        default_factory=dict[str, str], description="Phrases that a closed vocabulary lacks, and what they become."
    )
    nearest: tuple[str, ...] = Field((), description="Known words that any other word may become, the nearest of them.")

    @property
    def all_sizes(self) -> tuple[int, ...]:
        """Every side that it may be asked for, its own first."""
        return self.size, *self.sizes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded model; its modules are shared, its scheduler is a recipe that each request builds its own from."""

    card: Card
    version: ModelVersion
    device: torch.device
    parts: Mapping[str, Any]
    """The components by their names in model_index.json."""
    options: Mapping[str, Any]
    """The other entries of model_index.json."""

    def offer(self) -> Offer:
        """What it offers: every operation, at the sizes of its card."""
        card = self.card
        return Offer(
            model=self.version,
            operations=("create", "edit", "variation"),
            sizes=card.all_sizes,
            steps=card.steps,
            guidance=card.guidance,
            words=tuple(self.words()) if card.closed_vocabulary else (),
            device=str(self.device),
            capability=card.capability,
        )

    def words(self) -> list[str]:
        """The words that the tokenizer knows, in the order of their ids, without its special tokens."""
        tokenizer = self.parts["tokenizer"]
        special = set(tokenizer.all_special_tokens)
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        return [word for word in sorted(vocabulary, key=vocabulary.__getitem__) if word not in special]


def load_checkpoint(uri: str, sha256: str, device: torch.device, dtype: torch.dtype = torch.float32) -> Checkpoint:
    """Verifies and loads the model at `uri` (`models/<name>` or a folder's path), its weights as `dtype`.

    `sha256` is the digest over all files, needed unless the model ships with the house. Raises ConfigurationError.
    """
    folder = _folder(uri)
    digest = _verify(folder, uri, sha256)
    try:
        card = Card.model_validate_json((folder / "portcullis.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigurationError(f"model {uri}: its portcullis.json is missing or wrong ({error})") from error
    index, options = _read_index(folder)
    source = _Source(folder, device, dtype, card.variant)
    parts = {name: source.load(name, *library_class) for name, library_class in index.items()}
    return Checkpoint(
        card=card,
        version=ModelVersion(card.name, card.version, digest),
        device=device,
        parts=parts,
        options=options,
    )


def folder_digest(folder: Path) -> str:
    """sha256 over the sorted lines "sha256  path" of the folder's files, as `sha256sum` would print them."""
    lines = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _folder(uri: str) -> Path:
    folder = MODELS / uri.removeprefix("models/") if uri.startswith("models/") else Path(uri)
    if not (folder / "model_index.json").is_file():
        raise ConfigurationError(f"model {uri}: no model_index.json; give a folder in diffusers' layout")
    return folder


def _files(folder: Path) -> list[Path]:
    """All files that make up the model; its card for people is none of them."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md")


def _verify(folder: Path, uri: str, sha256: str) -> str:
    """Refuses foreign kinds of files and wrong digests; returns the digest of the whole."""
    for path in _files(folder):
        if path.suffix not in SUFFIXES:
            raise ConfigurationError(
                f"model {uri}: {path.relative_to(folder)} is not allowed; weights must be safetensors, never a pickle",
                reason="MODEL_FILE_NOT_ALLOWED",
            )
    if uri.startswith("models/"):
        for path in _files(folder):
            load_artifact(f"{uri}/{path.relative_to(folder).as_posix()}")
        return folder_digest(folder)
    actual = folder_digest(folder)
    if actual != sha256.lower():
        raise ConfigurationError(
            f"model {uri}: the digest of its files is {actual}, not the configured "
            f"{sha256 or '(none)'}; if these are the files you mean, set PORTCULLIS_GENERATOR_MODEL_SHA256 to it",
            reason="MODEL_DIGEST_MISMATCH",
        )
    return actual


def _read_index(folder: Path) -> tuple[dict[str, tuple[str, str]], dict[str, Any]]:
    """Component → (library, class), each on the allow-list, and the options; what a pipeline left out is null there."""
    entries = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    index = {name: tuple(entries[name]) for name in PARTS if entries.get(name, [None])[0]}
    for name, library_class in index.items():
        if library_class not in CLASSES:
            known = ", ".join(sorted(name for _, name in CLASSES))
            raise ConfigurationError(f"model: its {name} is a {library_class[1]}; this engine runs {known}")
    if missing := [name for name in NEEDED if name not in index]:
        raise ConfigurationError(f"model: model_index.json lacks {', '.join(missing)}")
    return index, {name: value for name, value in entries.items() if not isinstance(value, list)}


@dataclass(frozen=True, slots=True)
class _Source:
    """Where components come from and what they become."""

    folder: Path
    device: torch.device
    dtype: torch.dtype
    variant: str

    def load(self, name: str, library: str, kind: str) -> Any:
        """One component through its own class's `from_pretrained`, from these files alone."""
        part = _class(library, kind)
        if _needs_sentencepiece(self.folder / name):
            raise ConfigurationError(
                f"model: its {name} is a SentencePiece file; install the package sentencepiece, "
                "or save the tokenizer once as tokenizer.json"
            )
        try:
            if not issubclass(part, torch.nn.Module):
                return part.from_pretrained(self.folder / name, local_files_only=True)
            loaded = part.from_pretrained(
                self.folder / name,
                local_files_only=True,
                use_safetensors=True,
                variant=self.variant or None,
                # Some VAEs overflow in half precision, and say so in their configuration, which is read only now.
                **{_DTYPE[library]: torch.float32 if name == "vae" else self.dtype},
            )
        except (ImportError, OSError, ValueError, RuntimeError) as error:
            raise ConfigurationError(f"model: its {name} could not be loaded ({error})") from error
        if name == "vae" and not loaded.config.get("force_upcast"):
            loaded = loaded.to(self.dtype)
        return loaded.to(self.device).eval().requires_grad_(False)


def _needs_sentencepiece(folder: Path) -> bool:
    """Whether the tokenizer there can only be read with a package that is not installed."""
    alone = any(folder.glob("*.model")) and not (folder / "tokenizer.json").is_file()
    return alone and find_spec("sentencepiece") is None


# What each library calls the type of the weights.
_DTYPE = {"diffusers": "torch_dtype", "portcullis": "torch_dtype", "transformers": "dtype"}


def _class(library: str, kind: str) -> Any:
    """The class of a component, found without importing what it does not need; silent about its progress."""
    guard_torchvision()
    if library == "transformers":
        import transformers

        transformers.utils.logging.disable_progress_bar()
        return getattr(transformers, kind)
    if library == "portcullis":
        from services.generator.scene_autoencoder import SceneAutoencoder

        return SceneAutoencoder
    import diffusers

    diffusers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    return getattr(diffusers, kind)
