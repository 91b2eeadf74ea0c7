"""The result of an import: a kit.yaml with comments, its files, and a list of what was left out.

No I/O. An importer reads texts and returns a ``Proposal``. It never runs or fetches anything. It
lists everything that it does not carry over, with the reason and what to do instead.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mealkit.importing.quoting import cell, code_cell, short, yaml_value

_WIDTH = 96
_HEAD = (
    "# yaml-language-server: $schema=kit.schema.json\n"
    "# Proposed by mealkit from {origin}. README.md lists what was not carried over.\n"
)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part of the original that the kit does not have."""

    what: str
    """The part, in the original's own words: ``build.run[0]``, ``PARAMETER mirostat``."""
    why: str
    """The reason why the kit does not have it."""
    instead: str
    """What the kit's author can do instead."""

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        return "{}: {}; {}".format(*map(short, (self.what, self.why, self.instead)))


@dataclass(frozen=True, slots=True)
class Proposal:
    """A kit that an importer proposes."""

    origin: str
    """The source of the kit, for people: ``cog.yaml of blur``, ``the commit of a repository``."""
    engine: str
    """The engine of the kit."""
    kit: Mapping[str, Any]
    """The fields of kit.yaml in their order, without apiVersion, name, version and owner."""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    """The other files of the kit's folder, by path."""
    comments: Mapping[tuple[str | int, ...], str] = field(default_factory=dict)
    """The comments above fields of kit.yaml, by the field's path."""
    left_out: Sequence[LeftOut] = ()
    """The parts that were not carried over."""


def proposal_files(proposal: Proposal, name: str) -> dict[str, str | bytes]:
    """Return all files of the proposed kit, by path in its folder.

    The owner is a placeholder, as in a kit that ``mealkit new`` creates from a template.
    """
    head = {
        "apiVersion": "mealkit/v1",
        "name": name,
        "version": "0.1.0",
    }
    owner = {
        "team": f"the {name} team",
        "contact": f"mailto:{name}@example.org",
        "support": "Questions are answered on working days.",
    }
    about = {key: proposal.kit[key] for key in ("description", "license") if key in proposal.kit}
    rest = {key: value for key, value in proposal.kit.items() if key not in about}
    form = {**head, **about, "owner": owner, **rest}
    comments = {("owner",): "The contact when the kit fails: write your own.", **proposal.comments}
    text = _HEAD.format(origin=short(proposal.origin)) + kit_text(form, comments)
    readme = "\n".join(_readme(proposal, name)) + "\n"
    return {**proposal.files, "kit.yaml": text, "README.md": readme}


def kit_text(form: Mapping[str, Any], comments: Mapping[tuple[str | int, ...], str]) -> str:
    """Return a kit as YAML: one field per line, each comment above its field."""
    return "\n".join(_block(form, comments, ())) + "\n"


def _block(
    form: Mapping[str, Any],
    comments: Mapping[tuple[str | int, ...], str],
    path: tuple[str | int, ...],
) -> Iterator[str]:
    for name, value in form.items():
        here = (*path, name)
        if not path and isinstance(value, Mapping):
            yield ""
        yield from _comment(comments.get(here))
        key = yaml_value(name)
        if isinstance(value, Mapping) and value:
            yield f"{key}:"
            yield from (f"  {line}".rstrip() for line in _block(value, comments, here))
        elif _is_list_of_parts(value):
            yield f"{key}:"
            yield from (f"  {line}".rstrip() for line in _items(value, comments, here))
        else:
            yield f"{key}: {yaml_value(value)}"


def _items(
    values: Sequence[Any],
    comments: Mapping[tuple[str | int, ...], str],
    path: tuple[str | int, ...],
) -> Iterator[str]:
    for index, value in enumerate(values):
        here = (*path, index)
        yield from _comment(comments.get(here))
        if isinstance(value, Mapping) and value:
            first, *others = list(_block(value, comments, here))
            yield f"- {first}"
            yield from (f"  {line}" for line in others)
        else:
            yield f"- {yaml_value(value)}"


def _is_list_of_parts(value: Any) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and (any(isinstance(item, Mapping) for item in value) or len(value) > 4)


def _comment(text: str | None) -> Iterator[str]:
    for line in (text or "").splitlines():
        yield from (f"# {part}" for part in textwrap.wrap(short(line), _WIDTH) or [""])


def _readme(proposal: Proposal, name: str) -> Iterator[str]:
    yield f"# {name}"
    yield ""
    yield f"A kit for mealkit, proposed from {cell(proposal.origin)}; engine `{proposal.engine}`."
    yield ""
    yield "1. Write your team, its address and its support into `owner` in `kit.yaml`."
    yield "2. Check what was not carried over, below."
    yield "3. `mealkit check`, `mealkit lock`, `mealkit run`."
    yield ""
    yield "## Not carried over"
    yield ""
    if not proposal.left_out:
        yield "Nothing: the kit has everything from the original."
        return
    yield "| what | why | what to do |"
    yield "|---|---|---|"
    for item in proposal.left_out:
        yield f"| {code_cell(item.what)} | {cell(item.why)} | {cell(item.instead)} |"
