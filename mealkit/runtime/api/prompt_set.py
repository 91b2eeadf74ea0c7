"""The kit's prompts, filled in by name with the variables that they declare.

Refuses unknown prompts, and missing and unknown variables.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mealkit.errors import failure
from mealkit.recipe.lock import LockedPrompt

if TYPE_CHECKING:
    from mealkit.runtime.api.prompt_template import PromptTemplate

# Of a request with many texts; each of them has the budget of one prompt besides.
_WORK_TOGETHER = 20


class Prompts:
    """The prompts of one kit, compiled once."""

    def __init__(self, locked: Mapping[str, LockedPrompt]) -> None:
        """Compile them.

        Raises:
            LockError: ``LOCK_INVALID``, one of them is not a template.
        """
        self._variables = {name: tuple(prompt.variables) for name, prompt in locked.items()}
        self._templates = _compiled(locked)

    @property
    def names(self) -> list[str]:
        """The names, sorted."""
        return sorted(self._templates)

    def variables(self, name: str) -> tuple[str, ...]:
        """Return the variables of a prompt.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, there is no such prompt.
        """
        if name not in self._variables:
            known = ", ".join(self.names) or "none"
            message = f"the kit has no prompt {name!r}; it has: {known}"
            raise failure("REQUEST_UNSUPPORTED", message, where="prompt")
        return self._variables[name]

    def is_plain(self, name: str) -> bool:
        """Whether a prompt is text with variables in it, and nothing else; or is none."""
        return name not in self._templates or self._templates[name].is_plain

    def fill(self, name: str, values: Mapping[str, Any]) -> str:
        """Return a prompt with its variables filled in.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, there is no such prompt or variable;
                ``REQUEST_INVALID``, a variable is missing, is not text, or breaks the template;
                ``REQUEST_TOO_LARGE``.
            EngineError: ``TEMPLATE_COST``, the prompt costs too much even for short values.
        """
        self._check(name, values)
        return self._filled(name, [values])[0]

    def fill_each(
        self, name: str, values: Mapping[str, Any], variable: str, texts: Sequence[str]
    ) -> list[str]:
        """Return a prompt as often as there are texts, each with one of them as a variable.

        Raises:
            RequestError: as `fill`.
            EngineError: as `fill`.
        """
        self._check(name, {**values, variable: ""})
        return self._filled(name, [{**values, variable: text} for text in texts])

    def _filled(self, name: str, each: Sequence[Mapping[str, Any]]) -> list[str]:
        # Not for a kit without prompts, which has come here only to be refused.
        from mealkit.runtime.api.prompt_template import MEMORY_BYTES, WORK  # noqa: PLC0415
        from mealkit.templating.meter import CostMeter  # noqa: PLC0415

        template = self._templates[name]
        filled: list[str] = []
        work, memory_bytes = WORK * _WORK_TOGETHER, MEMORY_BYTES
        for values in each:
            if work < WORK or memory_bytes < MEMORY_BYTES // 4:
                message = f"putting {len(each)} texts into the prompt {name!r} takes too much work"
                raise failure("REQUEST_TOO_LARGE", message, where="input")
            meter = CostMeter(WORK, memory_bytes)
            filled.append(template.fill(values, meter))
            work -= WORK - meter.work
            memory_bytes = meter.memory_bytes
        return filled

    def _check(self, name: str, values: Mapping[str, Any]) -> None:
        declared = self.variables(name)
        for given in values:
            if given not in declared:
                message = f"the prompt {name!r} has no variable {given!r}"
                raise failure("REQUEST_UNSUPPORTED", message, where=f"variables.{given}")
        for variable in declared:
            if variable not in values:
                message = f"the prompt {name!r} needs the variable {variable!r}"
                raise failure("REQUEST_INVALID", message, where=f"variables.{variable}")


def _compiled(locked: Mapping[str, LockedPrompt]) -> "dict[str, PromptTemplate]":
    if not locked:
        return {}
    # Late: most kits have no prompts, and need not wait for jinja2.
    from mealkit.runtime.api.prompt_template import PromptTemplate  # noqa: PLC0415

    return {name: PromptTemplate(name, prompt.text) for name, prompt in locked.items()}
