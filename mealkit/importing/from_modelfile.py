"""Converts an Ollama Modelfile to a kit: its parameters and texts, and the GGUF that it names.

No I/O except a check that the GGUF exists. Raises KitError for a Modelfile that cannot be read, and
for one that uses Ollama's own name for a model:
https://github.com/ollama/ollama/blob/main/docs/modelfile.md
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mealkit.engines.published_models import Comments, Served
from mealkit.engines.registry import usual_engine
from mealkit.errors import MealkitError, failure
from mealkit.importing.engine_part import engine_part
from mealkit.importing.modelfile_values import MESSAGE_WORDS, convert, leave_out
from mealkit.importing.proposal import LeftOut, Proposal
from mealkit.importing.quoting import short, verbatim
from mealkit.importing.repository import spdx
from mealkit.importing.stated_sampling import HALF, Values, template
from mealkit.kit.bounds import OPTION
from mealkit.recipe.kit import Task
from mealkit.untrusted import shown

_INSTRUCTION = re.compile(r"\s*(?P<name>[A-Za-z]+)(?:[ \t]+(?P<rest>.*))?$")
_KNOWN = frozenset(
    {"FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "MESSAGE", "REQUIRES"}
)
_QUOTES = '"""'
# The first words of licences, if a text contains no identifier: https://spdx.org/licenses/
_LICENSES = {
    "apache license": "Apache-2.0",
    "mit license": "MIT",
    "gnu general public license": "GPL-3.0-only",
    "bsd 3-clause license": "BSD-3-Clause",
}


@dataclass(frozen=True, slots=True)
class Directive:
    """One instruction of a Modelfile."""

    name: str
    """The instruction, in capitals."""
    value: str
    line: int


def parse_modelfile(text: str, where: str) -> list[Directive]:
    """Read the instructions: one per line, in any case; quoted values may span several lines.

    Raises:
        KitError: a line is not an instruction, or quotes are not closed (``KIT_INVALID``).
    """
    lines = text.lstrip("\ufeff").splitlines()
    found = []
    at = 0
    while at < len(lines):
        number = at + 1
        line = lines[at]
        at += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _INSTRUCTION.match(line)
        if match is None or match["name"].upper() not in _KNOWN:
            message = f"{shown(line.split()[0])} is not an instruction of a Modelfile"
            raise _wrong(message, where, number)
        value = (match["rest"] or "").strip()
        head, quotes, rest = value.partition(_QUOTES)
        # A MESSAGE starts with the role, a PARAMETER with the name.
        if quotes and len(head.split()) <= 1:
            parts = [rest]
            while _QUOTES not in parts[-1]:
                if at == len(lines):
                    raise _wrong(f"the quotes of {match['name']} are not closed", where, number)
                parts.append(lines[at])
                at += 1
            value = head + "\n".join(parts).partition(_QUOTES)[0]
        else:
            value = _unquoted(value)
        found.append(Directive(match["name"].upper(), value, number))
    return found


def from_path(directives: Sequence[Directive], folder: Path, where: str) -> Path:
    """Return the GGUF in FROM, relative to the Modelfile's folder.

    Raises:
        KitError: FROM is missing, or it does not name a file (``KIT_INVALID``).
    """
    names = [item for item in directives if item.name == "FROM" and item.value]
    if not names:
        raise failure("KIT_INVALID", "the Modelfile has no FROM", where=where)
    value, line = names[0].value, names[0].line
    # Ollama's own files have their digests as names: .../blobs/sha256-...
    if value.endswith(".gguf") or value.startswith((".", "/", "~")):
        try:
            return folder / Path(value).expanduser()
        except RuntimeError as error:  # the user does not exist
            message = f"FROM names {shown(value)}, the home of a user who does not exist"
            raise failure("KIT_INVALID", message, where=f"{where}:{line}") from error
    if value.startswith(("hf.co/", "huggingface.co/")):
        repo = value.partition("/")[2].partition(":")[0]
        hint = f"mealkit new NAME --from hub {repo}/FILE.gguf"
    else:
        hint = (
            f"find Ollama's file of the model (ollama show --modelfile {value}) and write"
            " FROM that file, or name the model's repository: mealkit new NAME --from hub ..."
        )
    message = f"FROM names {shown(value)}, which is not a file"
    raise failure("KIT_INVALID", message, where=f"{where}:{line}", hint=hint)


def propose(
    directives: Sequence[Directive], model: Path, metadata: Mapping[str, Any], where: str
) -> Proposal:
    """Propose the kit of a Modelfile, from the path and the metadata of its GGUF."""
    architecture = str(metadata.get("general.architecture", ""))
    values = Values()
    convert(values, [item.value for item in directives if item.name == "PARAMETER"])
    _context(values, metadata.get(f"{architecture}.context_length"))
    if any(item.name == "TEMPLATE" for item in directives):
        why = "it is a Go template, and kits use Jinja"
        values.leave_out("TEMPLATE", why, "compare it with the GGUF's template, which the kit uses")
    template(values, metadata.get("tokenizer.chat_template"), "the GGUF")
    for item in directives:
        leave_out(values, item.name, item.value)
    files: dict[str, str] = {}
    system = [item.value for item in directives if item.name == "SYSTEM"]
    if system:
        # The last one counts, as in Ollama.
        files["prompts/system.jinja"] = verbatim(system[-1])
    license_id, text = _license(directives, metadata)
    if text:
        files["LICENSE.weights"] = text
    engine = usual_engine("gguf", generates=True)
    part = engine_part(engine, Served(Task.GENERATION, {}, model.name, values.values["max_length"]))
    if isinstance(values.values.get("threads"), int):
        part.form["runtime"]["settings"]["threads"] = values.values.pop("threads")
    if license_id is None:
        why = "neither LICENSE nor the GGUF states it"
        values.leave_out("the licence of the weights", why, "ask their publisher")
    named = metadata.get("general.name")
    name = short(named if isinstance(named, str) else "") or short(model.stem)
    kit = {
        "description": f"{name}, as the Modelfile runs it, with llama.cpp.",
        "license": "Apache-2.0",
        "model": {
            "name": name,
            "license": license_id or "LicenseRef-unknown",
            "task": Task.GENERATION.value,
            "weights": [{"source": "folder", "path": str(model.parent), "files": [model.name]}],
        },
        "prompts": {"system": {"file": "prompts/system.jinja"}} if system else {},
        "hyperparameters": values.values,
        **part.form,
    }
    return Proposal(
        origin=f"the Modelfile {where}",
        engine=engine,
        kit=kit,
        files={**files, **part.files},
        comments=_comments(model, values, part.comments),
        left_out=[*values.left_out, *_messages(directives), *part.left_out],
    )


def _comments(model: Path, values: Values, of_engine: Comments) -> Comments:
    return {
        ("license",): "For the files in this folder.",
        ("model", "weights"): (
            "A file on this machine: move it to a source that others can use, or into the kit's"
            f" folder. Until then: {OPTION} {shlex.quote(str(model.parent))}"
        ),
        ("prompts",): "The text of SYSTEM: callers apply it by its name, or send it themselves.",
        **{("hyperparameters", name): text for name, text in values.comments.items()},
        **of_engine,
    }


def _context(values: Values, trained: Any) -> None:
    """Set the context; Ollama's own default depends on the GPU."""
    stated = values.values.get("max_length")
    if stated is None:
        known = type(trained) is int and trained > 0
        context = min(4096, trained) if known else 4096
        source = "Not stated: Ollama would choose by the GPU's memory; this is its minimum."
        values.set("max_length", context, source)
        values.leave_out(
            "num_ctx", "the Modelfile does not state it", "set hyperparameters.max_length"
        )
    limit = values.values["max_length"]
    if values.values.get("max_tokens", limit) >= limit:
        values.set("max_tokens", max(1, limit // 2), HALF)


def _license(
    directives: Sequence[Directive], metadata: Mapping[str, Any]
) -> tuple[str | None, str | None]:
    texts = [item.value for item in directives if item.name == "LICENSE" and item.value]
    text = "\n\n".join(texts) or None
    first = texts[0].strip().lower() if texts else ""
    for begin, found in _LICENSES.items():
        if first.startswith(begin):
            return found, text
    if first and "\n" not in first and len(first) < 40:
        return spdx(first), text
    return spdx(metadata.get("general.license"), metadata.get("general.license.name")), text


def _messages(directives: Sequence[Directive]) -> Iterator[LeftOut]:
    count = sum(item.name == "MESSAGE" for item in directives)
    if count:
        yield LeftOut(f"MESSAGE ({count})", *MESSAGE_WORDS)


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def _wrong(message: str, where: str, line: int) -> MealkitError:
    return failure("KIT_INVALID", message, where=f"{where}:{line}")
