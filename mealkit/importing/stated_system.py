"""The system prompt of an imported kit: a text that others send with each conversation.

No I/O. The kit says the same: its text is used where a caller sends no system message.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mealkit.assembly.template_trial import built_in_system, system_fault
from mealkit.importing.quoting import verbatim
from mealkit.importing.stated_sampling import Values
from mealkit.recipe.system_prompt import Placement

FILE = "prompts/system.jinja"
_NAME = "system"


@dataclass(frozen=True, slots=True)
class StatedSystem:
    """The parts of a proposal about the system prompt; all empty if there is none."""

    prompts: Mapping[str, Any] = field(default_factory=dict)
    """The entries of ``prompts`` in the kit."""
    form: Mapping[str, Any] = field(default_factory=dict)
    """The other fields of the kit."""
    files: Mapping[str, str] = field(default_factory=dict)
    comments: Mapping[tuple[str | int, ...], str] = field(default_factory=dict)


def modelfile_system(text: str, template: Any, values: Values) -> StatedSystem:
    """Return the text of SYSTEM as the kit's system prompt.

    Where the model has no chat, or its template loses system messages, the text is only a prompt,
    and ``values`` gets what was not carried over.
    """
    if not text.strip():
        return StatedSystem()
    if values.values.get("chat_template") == "none":
        why = "this kit cannot chat, so no conversation begins with it"
        values.leave_out("SYSTEM", why, "write it into your own texts: it is the prompt system")
        return _stated(text, pinned=False)
    fault = system_fault(template) if isinstance(template, str) else None
    if fault is not None:
        instead = "write a template that does, name it in hyperparameters.chat_template, and add"
        instead += f" system_prompt: {{prompt: {_NAME}, placement: {Placement.DEFAULT.value}}}"
        values.leave_out("SYSTEM", f"the GGUF's chat template {fault}", instead)
        return _stated(text, pinned=False)
    comment = "From SYSTEM. As in Ollama, a caller's own system message takes its place."
    return _stated(text, pinned=True, comment=comment)


def built_in(template: Any, source: str) -> StatedSystem:
    """Return the system text that a chat template writes by itself, as the kit's own."""
    text = built_in_system(template) if isinstance(template, str) else None
    if text is None:
        return StatedSystem()
    comment = f"The text that {source} has built in for conversations without a system message."
    return _stated(text, pinned=True, comment=comment)


def _stated(text: str, *, pinned: bool, comment: str = "") -> StatedSystem:
    place = {"prompt": _NAME, "placement": Placement.DEFAULT.value}
    return StatedSystem(
        prompts={_NAME: {"file": FILE}},
        form={"system_prompt": place} if pinned else {},
        files={FILE: verbatim(text) + "\n"},
        comments={("system_prompt",): comment} if pinned else {},
    )
