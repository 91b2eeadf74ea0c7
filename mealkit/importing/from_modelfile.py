"""Converts an Ollama Modelfile to a kit: its parameters and texts, and the GGUF that it names.

No I/O. Raises KitError for a model that generates no text.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mealkit.engines.published_models import Comments, Served
from mealkit.engines.registry import usual_engine
from mealkit.errors import failure
from mealkit.importing.engine_part import engine_part
from mealkit.importing.gguf_names import is_encoder
from mealkit.importing.modelfile import Directive
from mealkit.importing.modelfile_values import (
    MESSAGE_WORDS,
    NO_TEMPLATE_WORDS,
    convert,
    leave_out,
)
from mealkit.importing.modelfile_weights import GgufModel
from mealkit.importing.proposal import LeftOut, Proposal
from mealkit.importing.quoting import short
from mealkit.importing.repository import spdx
from mealkit.importing.stated_sampling import HALF, Values, template
from mealkit.importing.stated_system import modelfile_system
from mealkit.kit.bounds import OPTION
from mealkit.recipe.kit import Task

# The first words of licences, and words that follow soon: https://spdx.org/licenses/
_LICENSES = (
    ("apache license", "version 2.0", "Apache-2.0"),
    ("mit license", "", "MIT"),
    ("gnu general public license", "version 3", "GPL-3.0-only"),
    ("gnu general public license", "version 2", "GPL-2.0-only"),
    ("gnu lesser general public license", "version 3", "LGPL-3.0-only"),
    ("gnu affero general public license", "version 3", "AGPL-3.0-only"),
    ("mozilla public license", "2.0", "MPL-2.0"),
    ("bsd 3-clause license", "", "BSD-3-Clause"),
    ("bsd 2-clause license", "", "BSD-2-Clause"),
)
_HEAD_CHARACTERS = 200
_LONGEST_NAME = 40


def propose(directives: Sequence[Directive], model: GgufModel, where: str) -> Proposal:
    """Propose the kit of a Modelfile, from the path and the metadata of its GGUF.

    Raises:
        KitError: the model generates no text (``KIT_INVALID``).
    """
    metadata = model.metadata
    architecture = str(metadata.get("general.architecture", ""))
    _require_generator(metadata, architecture, where)
    values = _values(directives, metadata, architecture)
    files: dict[str, str] = {}
    said = [item.value for item in directives if item.name == "SYSTEM"]
    # The last one counts, as in Ollama.
    system = modelfile_system(
        said[-1] if said else "", metadata.get("tokenizer.chat_template"), values
    )
    license_id, text = _license(directives, metadata)
    if text:
        files["LICENSE.weights"] = text
    engine = usual_engine("gguf", generates=True)
    part = engine_part(
        engine, Served(Task.GENERATION, {}, model.files[0], values.values["max_length"])
    )
    if isinstance(values.values.get("threads"), int):
        part.form["runtime"]["settings"]["threads"] = values.values.pop("threads")
    _list_license(values, license_id, text)
    named = metadata.get("general.name")
    name = short(named if isinstance(named, str) else "") or short(Path(model.files[0]).stem)
    kit = {
        "description": f"{name}, as the Modelfile runs it, with llama.cpp.",
        "license": "Apache-2.0",
        "model": {
            "name": name,
            "license": license_id or "LicenseRef-unknown",
            "task": Task.GENERATION.value,
            "weights": [{"source": "folder", "path": str(model.folder), "files": [*model.files]}],
        },
        "prompts": {**system.prompts},
        **system.form,
        "hyperparameters": values.values,
        **part.form,
    }
    return Proposal(
        origin=f"the Modelfile {where}",
        engine=engine,
        kit=kit,
        files={**files, **system.files, **part.files},
        comments={**_comments(model.folder, values, part.comments), **system.comments},
        left_out=[
            *model.left_out,
            *values.left_out,
            *_messages(directives),
            *part.left_out,
        ],
    )


def _require_generator(metadata: Mapping[str, Any], architecture: str, where: str) -> None:
    if is_encoder(metadata):
        message = f"its model ({architecture}) generates no text"
        engine = usual_engine("gguf", generates=False)
        hint = f"write its kit yourself: mealkit new NAME --engine {engine}, task: embeddings"
        raise failure("KIT_INVALID", message, where=where, hint=hint)


def _comments(folder: Path, values: Values, of_engine: Comments) -> Comments:
    return {
        ("license",): "For the files in this folder.",
        ("model", "weights"): (
            "A file on this machine: move it to a source that others can use, or into the kit's"
            f" folder. Until then: {OPTION} {shlex.quote(str(folder))}"
        ),
        **{("hyperparameters", name): text for name, text in values.comments.items()},
        **of_engine,
    }


def _values(
    directives: Sequence[Directive], metadata: Mapping[str, Any], architecture: str
) -> Values:
    """Return the hyperparameters, and what a kit does not have of the Modelfile."""
    values = Values()
    convert(values, [(item.word, item.value) for item in directives if item.name == "PARAMETER"])
    _context(values, metadata.get(f"{architecture}.context_length"))
    template(values, metadata.get("tokenizer.chat_template"), "the GGUF")
    _template(values, directives)
    for item in directives:
        leave_out(values, item.name, item.value)
    return values


def _template(values: Values, directives: Sequence[Directive]) -> None:
    """Report a TEMPLATE, which is written in another language than a kit's."""
    if not any(item.name == "TEMPLATE" for item in directives):
        return
    if values.values["chat_template"] == "none":
        values.leave_out("TEMPLATE", *NO_TEMPLATE_WORDS)
        return
    why = "it is a Go template, and kits use Jinja"
    values.leave_out("TEMPLATE", why, "compare it with the GGUF's template, which the kit uses")


def _context(values: Values, trained: Any) -> None:
    """Set the context; Ollama's own default depends on the GPU."""
    stated = values.values.get("max_length")
    known = type(trained) is int and trained > 0
    if known and stated is not None and stated > trained:
        source = f"From the GGUF: Ollama too lowers num_ctx ({stated}) to the model's own context."
        values.set("max_length", trained, source)
    if stated is None:
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
    """Return the identifier of the licence, and the texts of LICENSE."""
    texts = [item.value for item in directives if item.name == "LICENSE" and item.value.strip()]
    text = "\n\n".join(texts) or None
    named = dict.fromkeys(map(_license_of, texts))
    if len(named) == 1 and None not in named:
        return next(iter(named)), text
    if len(named) > 1:
        return None, text  # a kit that names one of several would leave the others out
    return spdx(metadata.get("general.license"), metadata.get("general.license.name")), text


def _license_of(text: str) -> str | None:
    """Return the identifier of a licence from its name or the head of its text."""
    head = " ".join(text[:_HEAD_CHARACTERS].lower().split())
    for begin, more, found in _LICENSES:
        if head.removeprefix("the ").startswith(begin) and more in head:
            return found
    name = text.strip()
    return spdx(name) if "\n" not in name and len(name) < _LONGEST_NAME else None


def _list_license(values: Values, license_id: str | None, text: str | None) -> None:
    if license_id is not None:
        return
    why, instead = "neither LICENSE nor the GGUF states it", "ask their publisher"
    if text is not None:
        why = "mealkit does not know the text of LICENSE, or there are several"
        instead = "read LICENSE.weights, and write model.license: an SPDX identifier, or A AND B"
    values.leave_out("the licence of the weights", why, instead)


def _messages(directives: Sequence[Directive]) -> Iterator[LeftOut]:
    count = sum(item.name == "MESSAGE" for item in directives)
    if count:
        yield LeftOut(f"MESSAGE ({count})", *MESSAGE_WORDS)
