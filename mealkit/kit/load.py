"""Loads and checks a kit's folder, with the line of every field and the text of its prompts.

Raises one KitError with all problems: text that is not YAML, fields and values that the models
reject, and files that are missing, unreadable, outside of the kit's bounds, or look like secrets.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mealkit.digest import Digest
from mealkit.errors import KitError, Problem, failure, problem
from mealkit.kit.bounds import Bounds, OutsideError
from mealkit.kit.confidential import masked
from mealkit.kit.document import Document, read_document
from mealkit.kit.document import Path as FieldPath
from mealkit.kit.files import KIT_NAME, KitFiles, decoded
from mealkit.kit.problems import problems_of
from mealkit.recipe.data_profile import DataProfile
from mealkit.recipe.kit import Kit
from mealkit.untrusted import UntrustedError, shown

MAX_KIT_BYTES = 1024 * 1024


def _no_more(_document: Document) -> list[Problem]:
    return []


@dataclass(frozen=True, slots=True)
class LoadedKit:
    """A valid kit, with the content of its files."""

    kit: Kit
    folder: Path
    """The folder that the kit's relative paths are relative to."""
    lines: Document
    """The line of every field."""
    prompts: Mapping[str, str]
    """The text of every prompt, by its name."""
    code: Mapping[str, str]
    """The text of every file of code, by its path in the folder."""
    wheels: tuple[Path, ...]
    """The local wheels' files."""
    signers: Mapping[str, str]
    """The text of every publisher's key and signature in the folder, by its path."""
    case_files: Mapping[str, tuple[Digest, int]]
    """Digest and size of every file that a case names, by its path in the folder."""
    profile: DataProfile | None
    """The statistics of the data that the kit was made for."""
    bounds: Bounds
    """The folders that the kit's files may be in."""
    warnings: tuple[Problem, ...]
    """Problems that do not stop a command, such as pickle weights that the kit allows."""

    def where(self, path: FieldPath) -> str:
        """Return ``kit.yaml:LINE`` of a field, or of the nearest part around it."""
        return self.lines.where(path)


def load_kit(
    path: Path,
    check: Callable[[Document], list[Problem]] = _no_more,
    *,
    allowed: Sequence[Path] = (),
) -> LoadedKit:
    """Read and check a kit; ``path`` is its folder or its kit.yaml.

    ``check`` returns further problems, so that all are reported together: those of parts that
    others define, such as an engine's settings. ``allowed`` are the folders that the kit may use
    in addition to its own.

    Raises:
        KitError: contains all problems, in the order of their lines.
        StoreError: the file cannot be read (``DISK_DENIED``).
    """
    file = path / KIT_NAME if path.is_dir() else path
    bounds = Bounds.of(file.parent, allowed)
    text = _text_of(file, bounds)
    document, found = read_document(text, str(file))
    if document.data is None and found:
        raise KitError(*found)
    kit, refused = _validated(document)
    files = KitFiles(file.parent, document, bounds)
    prompts, code, wheels, signers = files.prompts(), files.code(), files.wheels(), files.signers()
    case_files = files.case_files()
    profile, misfit = _profile(files.profile(), document)
    files.check_places()
    files.check_own_text(text)
    lines = _requirement_problems(document)
    problems = _in_order([*found, *refused, *lines, *check(document), *files.problems, *misfit])
    if problems or kit is None:
        raise KitError(*problems)
    warnings = tuple(_warnings(kit, document, profile))
    return LoadedKit(
        kit=kit,
        folder=file.parent,
        lines=document,
        prompts=prompts,
        code=code,
        wheels=wheels,
        signers=signers,
        case_files=case_files,
        profile=profile,
        bounds=bounds,
        warnings=warnings,
    )


def _validated(document: Document) -> tuple[Kit | None, list[Problem]]:
    try:
        return Kit.model_validate_json(json.dumps(document.data)), []
    except ValidationError as error:
        return None, problems_of(error, Kit, document.data, document)


def _profile(text: str | None, document: Document) -> tuple[DataProfile | None, list[Problem]]:
    try:
        return None if text is None else DataProfile.model_validate_json(text), []
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = f"data.profile: the file is not a profile: {first['msg'][:200]}"
        hint = "delete it and write it again: mealkit fit FILE... --profile FILE"
        where = document.where(("data", "profile"))
        return None, [problem("KIT_INVALID", message, hint=hint, where=where)]


def _requirement_problems(document: Document) -> Iterator[Problem]:
    """Yield a problem for every line of ``runtime.requirements`` that a kit cannot have."""
    runtime = document.data.get("runtime") if isinstance(document.data, dict) else None
    lines = runtime.get("requirements") if isinstance(runtime, dict) else None
    if not isinstance(lines, list) or not lines:
        return
    from mealkit.kit.requirement_lines import fault_in  # noqa: PLC0415  late: few kits need it

    for index, line in enumerate(lines):
        if isinstance(line, str) and (fault := fault_in(line)):
            message = f"runtime.requirements.{index}: {shown(masked(line))}: {fault.why}"
            where = document.where(("runtime", "requirements", index))
            yield problem("KIT_INVALID", message, hint=fault.instead, where=where)


def _in_order(problems: list[Problem]) -> list[Problem]:
    """Sort by line, and keep only the first problem with the same place and code."""
    kept = {(item.where, item.code, item.message): item for item in problems}

    def line(item: Problem) -> int:
        parts = (item.where or "").rpartition(":")
        return int(parts[2]) if parts[2].isdigit() else 0

    return sorted(kept.values(), key=line)


def _warnings(kit: Kit, document: Document, profile: DataProfile | None) -> Iterator[Problem]:
    if kit.data is not None and kit.data.profile is not None and profile is None:
        name = kit.data.profile
        hint = f"write it from the kit's own data: mealkit fit FILE... --profile {name}"
        where = document.where(("data", "profile"))
        yield problem("DATA_PROFILE", f"{name} does not exist yet", where=where, hint=hint)
    if kit.model.allow_pickle:
        message = "model.allow_pickle is true: loading these weights runs code from their author"
        yield problem(
            "KIT_PICKLE_ALLOWED", message, where=document.where(("model", "allow_pickle"))
        )


def _text_of(file: Path, bounds: Bounds) -> str:
    if not file.exists():
        raise failure("KIT_NOT_FOUND", f"{file} does not exist", where=str(file))
    try:
        text, fault = decoded(bounds.read(file, MAX_KIT_BYTES))
    except OutsideError as error:
        raise KitError(error.as_problem(str(file), str(file))) from error
    except UntrustedError as error:
        if not file.is_file():
            raise failure("KIT_NOT_FOUND", f"{file} is not a file", where=str(file)) from error
        text, fault = "", (f"cannot be used: {error}", "name the right file")
    except OSError as error:
        raise failure("DISK_DENIED", f"{file} cannot be read", where=str(file)) from error
    if fault:
        raise failure("KIT_SYNTAX", f"the kit file {fault[0]}", where=str(file), hint=fault[1])
    return text
