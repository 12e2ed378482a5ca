"""What is being rendered now: pictures of several requests, a step at a time. For one thread.

Pictures of one shape share a forward pass, whatever their timesteps, and join and leave between steps. Each takes a
share of the machine, its rows over the cap of its shape, until it is decoded. While the shares leave room, the next
picture joins; so on a machine that one picture fills, requests are served one after the other.

Pictures are decoded in threads of their own, so that the steps of others need not wait.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import structlog

from services.core.errors import Exhausted, InvalidInput
from services.generator.engine import Engine
from services.generator.job import Rendered, Rgb
from services.generator.memory import is_out_of_memory, let_go
from services.generator.pace import Pace, Shape
from services.generator.picture import Picture
from services.generator.ticket import Cancelled, Progress, Ticket, TooLate

_RETRY_SECONDS = 5.0
_REST_SECONDS = 0.02  # between two looks at what came in while all that is left to do is decoding

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class Rendering:
    """A request that was begun: its pictures, and what becomes the pixels of those whose steps are done."""

    ticket: Ticket
    pace: Pace
    pictures: list[Picture] = field(default_factory=list[Picture])
    made: dict[Picture, Future[Rgb]] = field(default_factory=dict[Picture, "Future[Rgb]"])
    _told: int = 0

    @property
    def steps(self) -> int:
        """Steps of each of its pictures."""
        return len(self.pictures[0].times)

    @property
    def seconds_left(self) -> float:
        """Of the whole machine, which the rest of it takes."""
        rows = sum((self.steps - picture.done) * picture.width for picture in self.pictures)
        return rows * self.pace.seconds_a_row

    def share(self, picture: Picture) -> Fraction:
        """Of the machine, which one of its pictures takes."""
        return Fraction(picture.width, self.pace.cap)

    def tell(self) -> None:
        """Tells how many steps are done, over all its pictures, where that has changed."""
        done = sum(picture.done for picture in self.pictures) // len(self.pictures)
        if done > self._told:
            self._told = done
            self.ticket.tell(Progress(0, done, self.steps))
        if done == self.steps:
            self.ticket.tell(Progress(0, done, done, decoding=True))

    @property
    def complete(self) -> bool:
        """Whether all its pictures are decoded, or one failed to be."""
        done = [future for future in self.made.values() if future.done()]
        return len(done) == len(self.pictures) or any(future.exception() for future in done)

    def rendered(self) -> Rendered:
        """What its caller gets; raises what went wrong with one of its pictures."""
        first = self.pictures[0]
        made = {picture: future.result() for picture, future in self.made.items()}
        return Rendered(
            pictures=[made[picture] for picture in self.pictures],
            steps=self.ticket.job.steps,
            guidance=first.guidance if first.guided else 1.0,
            scheduler=type(first.scheduler).__name__,
            cut=first.condition.cut,
        )


class Batch:
    """Requests that were begun; their pictures take part in steps, or wait to join."""

    def __init__(self, engine: Engine, paces: Mapping[Shape, Pace]) -> None:
        """`paces` has one for each shape that the model makes."""
        self._engine = engine
        self._paces = paces
        self._turns = deque(paces.values())
        self._active: dict[Picture, Rendering] = {}
        self._joining: deque[tuple[Picture, Rendering]] = deque()
        self._renderings: list[Rendering] = []
        # On a CPU one core steps and another decodes, both once no step is left; a GPU lacks the memory for two.
        self._decoder = ThreadPoolExecutor(2 if engine.family.device.type == "cpu" else 1, "decode")
        # For other threads to read: requests, seconds that they will still take, and how many failed in a row.
        self.running = 0
        self.seconds_left = 0.0
        self.failures = 0

    def has_room(self) -> bool:
        """Whether a further request may begin: all earlier pictures have joined, and the machine is not full."""
        return not self._joining and self._shares() < 1

    def expect(self) -> None:
        """Counts a request as running that is about to begin, which takes a moment."""
        self.running += 1

    def begin(self, ticket: Ticket) -> None:
        """Makes a request's pictures; they join as there is room."""
        rendering = Rendering(ticket, self._paces[self._engine.family.latent_shape(ticket.job.size)])
        self._renderings.append(rendering)
        with self._answering(rendering):
            ticket.check()
            rendering.pictures = self._engine.begin(ticket.job)
            self._joining.extend((picture, rendering) for picture in rendering.pictures)
        self._join()
        self._sum_up()

    def step(self) -> None:
        """Ends requests that were given up or are complete; then one step of the pictures of one shape, in turn."""
        for rendering in list(self._renderings):
            with self._answering(rendering):
                rendering.ticket.check()
                if rendering.complete:
                    self._answer(rendering)
        self._join()
        if pictures := self._whose_turn():
            begun, pace = time.perf_counter(), self._active[pictures[0]].pace
            rows = sum(picture.width for picture in pictures)
            self._advance(pictures, pace)
            self._engine.settle()
            self._follow(pictures)
            pace.passed(rows, time.perf_counter() - begun)
        elif decoding := [future for rendering in self._renderings for future in rendering.made.values()]:
            wait([future for future in decoding if not future.done()], _REST_SECONDS, FIRST_COMPLETED)
        self._sum_up()

    def end_all(self, error: Exception) -> None:
        """Ends every request."""
        for rendering in list(self._renderings):
            self._end(rendering, error)
        self._sum_up()

    def close(self) -> None:
        """Ends the decoding threads; nothing can be begun any more."""
        self._decoder.shutdown(cancel_futures=True)

    def _sum_up(self) -> None:
        self.running = len(self._renderings)
        self.seconds_left = sum(rendering.seconds_left for rendering in self._renderings)

    def _shares(self) -> Fraction:
        """Of the machine, which pictures take that joined and are not decoded."""
        active = (rendering.share(picture) for picture, rendering in self._active.items())
        decoding = (
            rendering.share(picture)
            for rendering in self._renderings
            for picture, future in rendering.made.items()
            if not future.done()
        )
        return sum((*active, *decoding), Fraction(0))

    def _join(self) -> None:
        """Lets pictures take part, in order, while there is room; the first always, however much it needs."""
        shares = self._shares()
        while self._joining:
            picture, rendering = self._joining[0]
            before, shares = shares, shares + rendering.share(picture)
            if before and shares > 1:
                return
            self._joining.popleft()
            self._active[picture] = rendering

    def _whose_turn(self) -> list[Picture]:
        """The pictures of the shape whose turn it is."""
        for _ in self._turns:
            self._turns.rotate(-1)
            pace = self._turns[-1]
            if pictures := [picture for picture, rendering in self._active.items() if rendering.pace is pace]:
                return pictures
        return []

    def _advance(self, pictures: Sequence[Picture], pace: Pace) -> None:
        """One step; what fails together is tried again in halves, so that only a request that fails alone fails."""
        try:
            guesses = self._engine.guess(pictures, pace.cap)
        except Exception as error:
            self._retry(pictures, pace, error)
            return
        for picture, guess in zip(pictures, guesses, strict=True):
            if rendering := self._active.get(picture):
                with self._answering(rendering):
                    self._engine.take(picture, guess)

    def _retry(self, pictures: Sequence[Picture], pace: Pace, error: Exception) -> None:
        short = is_out_of_memory(error)
        if short:
            let_go(error)
        if short and pace.shrink(sum(picture.width for picture in pictures)):
            log.warning("memory lacks", rows=pace.cap)
            self._advance(pictures, pace)
        elif len(pictures) > 1:
            middle = len(pictures) // 2
            self._advance(pictures[:middle], pace)
            self._advance(pictures[middle:], pace)
        elif rendering := self._active.get(pictures[0]):
            self._end(rendering, error)

    def _follow(self, pictures: Sequence[Picture]) -> None:
        """After a step: tells how far each is, and has pixels made of what is finished."""
        for rendering in list(self._renderings):
            mine = [picture for picture in pictures if self._active.get(picture) is rendering]
            if mine:
                with self._answering(rendering):
                    rendering.tell()
                    for picture in mine:
                        if picture.finished:
                            del self._active[picture]
                            finish = self._engine.finish
                            rendering.made[picture] = self._decoder.submit(finish, rendering.ticket.job, picture)

    def _answer(self, rendering: Rendering) -> None:
        rendered = rendering.rendered()
        self._forget(rendering)
        rendering.ticket.result.set_result(rendered)
        self.failures = 0

    @contextmanager
    def _answering(self, rendering: Rendering) -> Iterator[None]:
        """Whatever goes wrong here belongs to this request alone: its caller gets it, the others go on."""
        try:
            yield
        except Exception as error:
            self._end(rendering, error)

    def _end(self, rendering: Rendering, error: Exception) -> None:
        self._forget(rendering)
        if not isinstance(error, Cancelled | TooLate | InvalidInput):
            self.failures += 1
        if is_out_of_memory(error):
            let_go(error)
            error = Exhausted(
                "the machine lacks the memory for this request; ask for fewer or smaller pictures",
                reason="OUT_OF_MEMORY",
                retry_after=_RETRY_SECONDS,
            )
        rendering.ticket.result.set_exception(error)

    def _forget(self, rendering: Rendering) -> None:
        """Frees the request's places."""
        self._renderings.remove(rendering)
        for picture in rendering.pictures:
            self._active.pop(picture, None)
        for future in rendering.made.values():
            future.cancel()
        self._joining = deque(pair for pair in self._joining if pair[1] is not rendering)
