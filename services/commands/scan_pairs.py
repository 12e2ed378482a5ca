"""A pair offline: prompt, upload and both together, through the pipelines of three rooms."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Self

from PIL import Image

from services.combo_filter.pipeline import ComboPipeline, Operation
from services.combo_filter.settings import ComboFilterSettings
from services.commands.scan_rows import Judged
from services.commands.scan_texts import with_its_texts
from services.core.imaging import Sanitised, sanitise_mask
from services.core.policy.document import Policy
from services.core.policy.evaluate import evaluate
from services.core.verdicts import Tier
from services.image_filter.pipeline import ImagePipeline
from services.image_filter.settings import ImageFilterSettings
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings


@dataclass(frozen=True, slots=True)
class PairJudge:
    """Judges pairs as the gateway does, and goes on to the pair even where a half is refused already."""

    policy: Policy
    tier: Tier
    words: PromptPipeline
    sight: ImagePipeline
    both: ComboPipeline

    @classmethod
    def load(cls, policy: Policy, tier: Tier) -> Self:
        """Loads all three pipelines; ConfigurationError says what is missing."""
        words, both = PromptPipeline.load(PromptFilterSettings()), ComboPipeline.load(ComboFilterSettings())
        return cls(policy, tier, words, ImagePipeline.load(ImageFilterSettings()), both)

    def __call__(
        self, operation: Operation, prompt: str, negative: str, image: bytes, mask: bytes | None
    ) -> list[Judged]:
        """The prompt's, the upload's and the pair's measurement, each with what the policy makes of it."""
        prompt_half = self.words.measure(prompt, negative)
        looked = self.sight.measure(image)
        upload_half, picture = with_its_texts(looked, self.words), looked.sanitised
        clean_mask = _mask(operation, mask, picture)
        halves = prompt_half.signals, upload_half.signals
        pair = self.both.measure(operation, prompt, negative, picture.png, clean_mask, *halves)
        return [
            (prompt_half, evaluate(self.policy, "prompt", self.tier, prompt_half)),
            (upload_half, evaluate(self.policy, "upload", self.tier, upload_half)),
            (pair, evaluate(self.policy, "pair", self.tier, pair)),
        ]

    def close(self) -> None:
        """Ends the detectors' processes."""
        self.sight.close()


def _mask(operation: Operation, mask: bytes | None, picture: Sanitised) -> bytes | None:
    """The mask, sanitised; for an edit without one, a mask that opens the whole picture."""
    if mask is not None:
        return sanitise_mask(mask, picture)
    if operation == "variation":
        return None
    out = BytesIO()
    Image.new("L", (picture.width, picture.height), 255).save(out, "PNG")
    return out.getvalue()
