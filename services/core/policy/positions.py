"""YAML with positions: the plain data of a document, and where in the text each part of it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import yaml

from services.core.errors import InvalidInput

MAX_CHARACTERS = 256 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake; `line` and `column` count from 1, `path` is dotted ("categories.hate.block")."""

    line: int
    column: int
    path: str
    message: str

    def render(self, source: str) -> str:
        """`file:line:column: path: message`, as compilers write it."""
        where = f"{self.path}: " if self.path else ""
        return f"{source}:{self.line}:{self.column}: {where}{self.message}"


class PolicyError(InvalidInput):
    """The document is no valid policy; `problems` lists every mistake that was found, in the order of the text."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(
            sorted(set(problems), key=lambda problem: (problem.line, problem.column, problem.message))
        )
        super().__init__("policy", "\n".join(problem.render(source) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Located:
    """Plain data (dict, list, str, number …) beside the YAML nodes it came from."""

    data: object
    root: yaml.Node

    def problem(self, path: Sequence[str | int], message: str, *, at_key: bool = False) -> Problem:
        """A problem at `path`, or at its nearest part that the document has; `at_key` points at the key itself."""
        key, value, known = self._find(path)
        node = key if at_key and key is not None else value
        return _at(node.start_mark, ".".join(str(part) for part in known), message)

    def _find(self, path: Sequence[str | int]) -> tuple[yaml.Node | None, yaml.Node, list[str | int]]:
        key: yaml.Node | None = None
        node = self.root
        known: list[str | int] = []
        for part in path:
            step = _step(node, part)
            if step is not None:
                key, node = step
                known.append(part)
        return key, node, known


def _step(node: yaml.Node, part: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    """The child of `node` at `part` with its key; None where there is no such child (a part of the schema's own)."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None


class _Mark(Protocol):
    """A place as PyYAML's parsers, the one in C and the one in Python, both tell it: counted from 0."""

    line: int
    column: int


def _at(mark: _Mark | None, path: str, message: str) -> Problem:
    """A problem at a mark; at the start of the text where there is none."""
    return Problem(mark.line + 1, mark.column + 1, path, message) if mark else Problem(1, 1, path, message)


def _duplicates(node: yaml.Node) -> Iterator[Problem]:
    """Every key that its mapping already has. YAML forbids them; PyYAML silently keeps the last."""
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield _at(key.start_mark, name, "this key is here twice: keep one")
            seen.add(name)
            children.append(value)
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    for child in children:
        yield from _duplicates(child)


def _aliases(text: str) -> Iterator[Problem]:
    """Every alias: they make a small file huge when it is walked, and hide what holds for a category."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            yield _at(event.start_mark, "", f"alias '*{event.anchor}' is not allowed: write it out")


_POLICY = "a policy is a mapping with the keys name, defaults, categories and rules"


def parse(text: str, source: str, expected: str = _POLICY) -> Located:
    """Parse one YAML document of at most 262,144 characters; raises `PolicyError` with every mistake at its place.

    `expected` is what to say where it is no mapping.
    """
    if len(text) > MAX_CHARACTERS:
        raise PolicyError(source, [_at(None, "", f"longer than {MAX_CHARACTERS} characters")])
    try:
        problems = list(_aliases(text))
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            raise PolicyError(source, [_at(None, "", expected)])
        problems.extend(_duplicates(root))
        if problems:
            raise PolicyError(source, problems)
        return Located(yaml.safe_load(text), root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise PolicyError(source, [_at(mark, "", f"not valid YAML: {error.problem or error.context}")]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PolicyError(source, [_at(None, "", f"not valid YAML: {error}")]) from error
