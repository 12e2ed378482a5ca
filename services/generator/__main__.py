"""Starts the generator: `python -m services.generator`."""

from __future__ import annotations

import asyncio
import logging

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
from services.generator.offer import Offer
from services.generator.pace import warm_up
from services.generator.remote import RemoteEngine
from services.generator.remote_queue import RemoteQueue
from services.generator.remote_settings import RemoteSettings
from services.generator.render_queue import RenderQueue
from services.generator.servicer import GeneratorServicer
from services.generator.settings import GeneratorSettings
from services.generator.vocabulary import Vocabulary

CALLERS = dict.fromkeys(("Generate", "GetCapabilities", "GetLoad"), frozenset({"gateway"}))
Parts = tuple[Offer, Vocabulary | None, RenderQueue | RemoteQueue]


async def build(house: HouseSettings) -> App:
    """Loads the model, measures it, and opens the line before it."""
    settings, remote = GeneratorSettings(), RemoteSettings()
    verifier = ClearanceVerifier.load(house.home / "keys" / "clearance" / "jwks.json", "generator")
    parts = _front(settings, remote) if remote.url else await asyncio.to_thread(_load, settings)
    offer, vocabulary, queue = parts
    telemetry.show_models((offer.model,))
    telemetry.QUEUE_DEPTH.labels("render").set_function(lambda: queue.load().queued)
    servicer = GeneratorServicer(offer, queue, vocabulary, verifier)

    async def ready() -> None:
        queue.check()

    async def close() -> None:
        await asyncio.to_thread(queue.close)

    return App(
        service="portcullis.v1.GeneratorService",
        register=lambda server: generator_pb2_grpc.add_GeneratorServiceServicer_to_server(servicer, server),
        callers=CALLERS,
        settings=settings,
        ready=ready,
        close=close,
    )


def _front(settings: GeneratorSettings, remote: RemoteSettings) -> Parts:
    """An engine elsewhere, in place of a model."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # else it writes a line for every call
    engine = RemoteEngine(remote)
    return engine.offer, None, RemoteQueue(engine, settings.queue_limit, _pixel_limit(settings), remote.at_once)


def _load(settings: GeneratorSettings) -> Parts:
    torch.set_num_threads(settings.threads)
    device = _device(settings.device)
    checkpoint = load_checkpoint(settings.model, settings.model_sha256, device, _dtype(settings.dtype, device))
    engine = Engine(build_family(checkpoint, compiled=settings.compile))
    paces = warm_up(engine, checkpoint.card.all_sizes)
    queue = RenderQueue(engine, paces, settings.queue_limit, _pixel_limit(settings))
    return checkpoint.offer(), build_vocabulary(checkpoint), queue


def _pixel_limit(settings: GeneratorSettings) -> int:
    return int(settings.queue_megapixels * 1e6)


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
