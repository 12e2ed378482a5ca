"""`portcullis scan`: files of prompts, pictures and pairs through the very pipelines that the services run."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from portcullis.cli.extras import missing, pip_command
from portcullis.errors import PortcullisError as ClientError
from services.commands.default_policy import DEFAULT_POLICY
from services.commands.plain import told_plainly
from services.commands.scan_rows import BadLine, Item, Judged, Line, Row, files, lines, verdict_row
from services.core.config import HouseSettings
from services.core.errors import PortcullisError
from services.core.policy.document import Policy, PolicyError, load_policy
from services.core.policy.evaluate import evaluate
from services.core.verdicts import Tier

app = typer.Typer(help="Judge files offline: no server, nothing is recorded.", no_args_is_help=True)

TIER: Tier = "new"

Source = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="JSON lines.")]
Folder = Annotated[Path, typer.Argument(exists=True, file_okay=False, readable=True, help="Pictures, in any depth.")]
Target = Annotated[Path, typer.Argument(dir_okay=False, help="JSON lines, one per item; overwritten.")]
PolicyFile = Annotated[Path, typer.Option("--policy", exists=True, dir_okay=False, help="The policy to judge by.")]


COLUMNS = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
Work = TypeVar("Work")


@dataclass(frozen=True, slots=True)
class Entry(Generic[Work]):
    """One thing to judge: what names it in an error row, and its share of the progress."""

    name: Row
    work: Work
    weight: int


class Prompt(Item):
    """A line of `scan prompts`."""

    text: str
    negative_prompt: str = ""


class Pair(Item):
    """A line of `scan pairs`; paths are relative to the file's own folder. Without a mask all of it may change."""

    prompt: str
    negative_prompt: str = ""
    image: str
    mask: str | None = None
    operation: Literal["edit", "variation"]


@app.command("prompts")
def scan_prompts(source: Source, target: Target, policy_file: PolicyFile = DEFAULT_POLICY) -> None:
    """Judge prompts: lines of {"id", "text"}, and "negative_prompt" where there is one.

    Example: portcullis scan prompts prompts.jsonl verdicts.jsonl
    """
    _need("prompt-filter")
    from services.prompt_filter.pipeline import PromptPipeline
    from services.prompt_filter.settings import PromptFilterSettings

    with told_plainly():
        policy = _policy(policy_file)
        pipeline = PromptPipeline.load(PromptFilterSettings())

        def judge(line: Line) -> Row:
            item: Prompt = line.parse(Prompt)
            measurement = pipeline.measure(item.text, item.negative_prompt)
            return verdict_row(item.id, [(measurement, evaluate(policy, "prompt", TIER, measurement))], policy)

        _scan_lines(source, target, judge)


@app.command("images")
def scan_images(folder: Folder, target: Target, policy_file: PolicyFile = DEFAULT_POLICY) -> None:
    """Judge every file under a folder as an upload; the id is its path there.

    Example: portcullis scan images photos/ verdicts.jsonl
    """
    for extra in ("prompt-filter", "image-filter"):
        _need(extra)
    from services.commands.scan_texts import with_its_texts
    from services.image_filter.pipeline import ImagePipeline
    from services.image_filter.settings import ImageFilterSettings
    from services.prompt_filter.pipeline import PromptPipeline
    from services.prompt_filter.settings import PromptFilterSettings

    with told_plainly():
        policy = _policy(policy_file)
        words = PromptPipeline.load(PromptFilterSettings())
        pipeline = ImagePipeline.load(ImageFilterSettings())

        def judge(path: Path) -> Row:
            measurement = with_its_texts(pipeline.measure(path.read_bytes()), words)
            judged: Judged = measurement, evaluate(policy, "upload", TIER, measurement)
            return verdict_row(path.relative_to(folder).as_posix(), [judged], policy)

        try:
            entries = (Entry({"id": path.relative_to(folder).as_posix()}, path, 1) for path in files(folder))
            _scan(entries, sum(1 for _ in files(folder)), target, judge)
        finally:
            pipeline.close()


@app.command("provenance")
def scan_provenance(folder: Folder, target: Target) -> None:
    """Say of every file under a folder whether it was made here; the id is its path there.

    Asks the registry of this machine; no house need be up. A row is what `portcullis inspect --json` says.

    Example: portcullis scan provenance downloads/ found.jsonl
    """
    _need("provenance")
    from google.protobuf.json_format import MessageToDict

    from portcullis.v1.provenance_pb2 import Origin
    from services.commands.own_registry import database_of, own_registry

    with told_plainly(), database_of(HouseSettings()) as house, asyncio.Runner() as runner:
        opened = own_registry(house)
        registry = runner.run(opened.__aenter__())

        def judge(path: Path) -> Row:
            inspection = runner.run(registry.inspect(path.read_bytes()))
            said = MessageToDict(inspection, preserving_proto_field_name=True)
            verdict = Origin.Name(inspection.origin).removeprefix("ORIGIN_")
            return {"id": path.relative_to(folder).as_posix(), "verdict": verdict, **said}

        try:
            entries = (Entry({"id": path.relative_to(folder).as_posix()}, path, 1) for path in files(folder))
            _scan(entries, sum(1 for _ in files(folder)), target, judge)
        finally:
            runner.run(opened.__aexit__(None, None, None))


@app.command("pairs")
def scan_pairs(source: Source, target: Target, policy_file: PolicyFile = DEFAULT_POLICY) -> None:
    """Judge edits, alone and together: lines of {"id", "prompt", "image", "mask" or null, "operation"}.

    Example: portcullis scan pairs pairs.jsonl verdicts.jsonl
    """
    for extra in ("prompt-filter", "image-filter", "combo-filter"):
        _need(extra)
    from services.commands.scan_pairs import PairJudge

    with told_plainly():
        policy = _policy(policy_file)
        judge_pair = PairJudge.load(policy, TIER)

        def judge(line: Line) -> Row:
            item: Pair = line.parse(Pair)
            image = (source.parent / item.image).read_bytes()
            mask = (source.parent / item.mask).read_bytes() if item.mask else None
            judged = judge_pair(item.operation, item.prompt, item.negative_prompt, image, mask)
            return verdict_row(item.id, judged, policy)

        try:
            _scan_lines(source, target, judge)
        finally:
            judge_pair.close()


def _scan_lines(source: Path, target: Path, judge: Callable[[Line], Row]) -> None:
    if target.exists() and target.samefile(source):
        raise ClientError(
            f"{target} is what is to be read; name another file for the verdicts", code="INVALID_ARGUMENT"
        )
    entries = (Entry({"id": line.identity(), "line": line.number}, line, len(line.data)) for line in lines(source))
    _scan(entries, source.stat().st_size, target, judge)


def _scan(entries: Iterable[Entry[Work]], total: int, target: Path, judge: Callable[[Work], Row]) -> None:
    """Judges entry by entry, so that memory stays the same for any number; exits with 1 if any could not be judged."""
    counts: Counter[str] = Counter()
    with target.open("w", encoding="utf-8") as out, Progress(*COLUMNS, console=Console(stderr=True)) as progress:
        task = progress.add_task(target.name, total=total)
        for entry in entries:
            try:
                row = judge(entry.work)
            except OSError as error:
                row = {**entry.name, "error": f"{error.filename}: {error.strerror}"}
            except (BadLine, PortcullisError) as error:
                row = {**entry.name, "error": str(error)}
            counts[row.get("verdict", "error")] += 1
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            out.flush()
            progress.advance(task, entry.weight)
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing"
    Console(stderr=True, highlight=False).print(f"{target}: {told}")
    raise typer.Exit(1 if counts["error"] else 0)


def _need(extra: str) -> None:
    if missing(extra):
        raise ClientError(
            f"this scan needs parts that are not installed: {pip_command([extra])}",
            code="FAILED_PRECONDITION",
            reason="EXTRA_MISSING",
        )


def _policy(path: Path) -> Policy:
    try:
        return load_policy(path.read_text(encoding="utf-8"), str(path))
    except PolicyError as error:
        problems = "\n".join(problem.render(error.source) for problem in error.problems)
        raise ClientError(problems, code="INVALID_ARGUMENT", reason="POLICY_INVALID") from None
