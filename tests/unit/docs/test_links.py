"""Every relative link of the documentation leads somewhere, to the very heading that it names."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    chain.from_iterable(
        ROOT.glob(pattern)
        for pattern in ("*.md", "docs/**/*.md", "services/**/*.md", "tests/**/*.md", "models/*/*.md", "deploy/**/*.md")
    )
)
# Of the text of a link, or of a link's definition; not an image's size nor a footnote.
LINK = re.compile(r"\]\(([^()\s]+(?:\([^()\s]*\))?)\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def links(text: str) -> list[str]:
    """The targets of a page's links, without what stands in code."""
    plain = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
    return [one or other for one, other in LINK.findall(plain)]


def anchors(text: str) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    seen: dict[str, int] = {}
    names: set[str] = set()
    for title in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", FENCE.sub("", text), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        names.add(f"{name}-{seen[name]}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return names


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found: list[str] = []
    for target in links(page.read_text(encoding="utf-8")):
        if ELSEWHERE.match(target):
            continue
        path, _, anchor = unquote(target).partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (
            anchor and place.suffix == ".md" and anchor not in anchors(place.read_text(encoding="utf-8"))
        ):
            found.append(target)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_its_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_link_to_a_file_or_a_heading_that_is_not_there_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text("# Other\n\n## Keys & locks\n\n## Keys & locks\n")
    page.write_text(
        "# Page\n[good](other.md) [good](other.md#keys--locks) [good](other.md#keys--locks-1) [good](#page)\n"
        "[away](https://example.com/none) `[code](none.md)`\n```\n[code](none.md)\n```\n"
        "[bad](none.md) [bad](other.md#nothing) [bad](#nowhere)\n\n[bad]: gone.md\n"
    )

    assert broken(page) == ["none.md", "other.md#nothing", "#nowhere", "gone.md"]
