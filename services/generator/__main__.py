"""Starts the generator: `python -m services.generator`."""

from __future__ import annotations

import asyncio

import torch

from portcullis.v1 import generator_pb2_grpc
from services.core import telemetry
from services.core.clearance import ClearanceVerifier
from services.core.config import HouseSettings
from services.core.rpc.server import App, run
from services.generator.checkpoint import Checkpoint, load_checkpoint
from services.generator.engine import Engine
from services.generator.families import build_family
from services.generator.nearest import NearestWord
from services.generator.pace import warm_up
from services.generator.render_queue import RenderQueue
from services.generator.servicer import GeneratorServicer
from services.generator.settings import GeneratorSettings
from services.generator.vocabulary import Vocabulary

GATEWAY = frozenset({"gateway"})


async def build(house: HouseSettings) -> App:
    """Loads the model, measures it, and opens the line before it."""
    settings = GeneratorSettings()
    verifier = ClearanceVerifier.load(house.home / "keys" / "clearance" / "jwks.json", "generator")
    checkpoint, vocabulary, queue = await asyncio.to_thread(_load, settings)
    telemetry.show_models((checkpoint.version,))
    telemetry.QUEUE_DEPTH.labels("render").set_function(lambda: queue.load().queued)
    servicer = GeneratorServicer(checkpoint, queue, vocabulary, verifier)

    async def ready() -> None:
        queue.check()

    async def close() -> None:
        await asyncio.to_thread(queue.close)

    return App(
        service="portcullis.v1.GeneratorService",
        register=lambda server: generator_pb2_grpc.add_GeneratorServiceServicer_to_server(servicer, server),
        callers={"Generate": GATEWAY, "GetCapabilities": GATEWAY, "GetLoad": GATEWAY},
        settings=settings,
        ready=ready,
        close=close,
    )


def _load(settings: GeneratorSettings) -> tuple[Checkpoint, Vocabulary | None, RenderQueue]:
    torch.set_num_threads(settings.threads)
    device = _device(settings.device)
    checkpoint = load_checkpoint(settings.model, settings.model_sha256, device, _dtype(settings.dtype, device))
    engine = Engine(build_family(checkpoint, compiled=settings.compile))
    paces = warm_up(engine, checkpoint.card.all_sizes)
    queue = RenderQueue(engine, paces, settings.queue_limit, int(settings.queue_megapixels * 1e6))
    return checkpoint, build_vocabulary(checkpoint), queue


def build_vocabulary(checkpoint: Checkpoint) -> Vocabulary | None:
    """The words of a model that knows only some; None for one that takes any."""
    card = checkpoint.card
    if not card.closed_vocabulary:
        return None
    tokenizer = checkpoint.parts["tokenizer"]
    limit = tokenizer.model_max_length - len(tokenizer("").input_ids)
    return Vocabulary(checkpoint.words(), card.synonyms, NearestWord(card.nearest), limit)


def _device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        name = "float32" if device.type == "cpu" else "bfloat16"
    dtype: torch.dtype = getattr(torch, name)
    return dtype


if __name__ == "__main__":
    run("generator", build)
