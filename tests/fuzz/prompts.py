"""Any bytes as a prompt.

The real pipeline without a stub: a text is measured or refused with InvalidInput; any other error, a score outside 0…1,
a span outside the text or inside a character, or more than a second for one text is a finding.
"""

from __future__ import annotations

import time

from services.core.errors import InvalidInput
from services.core.signals import TextSpan
from services.prompt_filter.language import LanguageTest
from services.prompt_filter.normalize import plain, undress
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings
from services.prompt_filter.validate import validate
from services.prompt_filter.vocabulary import vocabulary

WATCHED = ("services.prompt_filter",)
_SECOND = 1.0
# The encoder takes most of the time and is no code of ours: one text in so many goes the whole way.
_WHOLE_WAY = 20

pipeline = PromptPipeline.load(PromptFilterSettings())
language = LanguageTest()
runs = 0


def taken(data: bytes) -> bool:
    """One text: valid UTF-8 as it is, other bytes with lone surrogates."""
    global runs
    runs += 1
    text = data.decode("utf-8", "surrogateescape" if data[:1] > b"\x7f" else "replace")
    begin = time.process_time()
    try:
        validate(text)
    except InvalidInput:
        return False
    form = undress(plain(text), vocabulary())
    assert 0 <= language.of(form.text).english <= 1
    raw = text.encode()
    for start, end in zip(form.starts, form.ends, strict=True):
        check_span(raw, start, end)
    if runs % _WHOLE_WAY == 0:
        for signal in pipeline.measure(text).signals:
            assert 0 <= signal.score <= 1
            if isinstance(signal.evidence, TextSpan):
                check_span(raw, signal.evidence.start, signal.evidence.end)
    assert time.process_time() - begin < _SECOND
    return True


def check_span(raw: bytes, start: int, end: int) -> None:
    """Inside the text, on borders of characters."""
    assert 0 <= start < end <= len(raw)
    raw[start:end].decode()


def seeds() -> dict[str, bytes]:
    """Texts of several dresses."""
    texts = ("a red circle", "a m4n st4bb1ng", "бlооd", "k\u200bn\u200bi\u200bfe", "Q\u0301" * 20, "😀 a cat")
    return {f"text-{number}": text.encode() for number, text in enumerate(texts)}
