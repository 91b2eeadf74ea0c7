"""The kit's prompts, to be filled in by name with their declared variables.

Raises RequestError for unknown prompts, and for missing and unknown variables.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mealkit.errors import failure
from mealkit.recipe.lock_records import LockedPrompt

if TYPE_CHECKING:
    from mealkit.runtime.api.prompt_template import PromptTemplate

# The budget of all texts of a request, as a multiple of the budget of one text.
_WORK_TOGETHER = 20


class Prompts:
    """The compiled prompts of one kit."""

    def __init__(self, locked: Mapping[str, LockedPrompt]) -> None:
        """Compile the prompts.

        Raises:
            LockError: ``LOCK_INVALID``, a prompt is not a template.
        """
        self._variables = {name: tuple(prompt.variables) for name, prompt in locked.items()}
        self._templates = _compiled(locked)

    @property
    def names(self) -> list[str]:
        """The names of the prompts, sorted."""
        return sorted(self._templates)

    def variables(self, name: str) -> tuple[str, ...]:
        """Return the variables of a prompt.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, the kit has no prompt of this name.
        """
        if name not in self._variables:
            known = ", ".join(self.names) or "none"
            message = f"the kit has no prompt {name!r}; it has: {known}"
            raise failure("REQUEST_UNSUPPORTED", message, where="prompt")
        return self._variables[name]

    def is_plain(self, name: str) -> bool:
        """Return whether a prompt is only text with variables; also True for unknown names."""
        return name not in self._templates or self._templates[name].is_plain

    def fill(self, name: str, values: Mapping[str, Any]) -> str:
        """Return a prompt with its variables filled in.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, the prompt or a variable is unknown;
                ``REQUEST_INVALID``, a variable is missing, is not text, or breaks the template;
                ``REQUEST_TOO_LARGE``.
            EngineError: ``TEMPLATE_COST``, the prompt costs too much even for short values.
        """
        self._check(name, values)
        return self._filled(name, [values])[0]

    def fill_each(
        self, name: str, values: Mapping[str, Any], variable: str, texts: Sequence[str]
    ) -> list[str]:
        """Return the prompt filled in for each text, which becomes ``variable``.

        Raises:
            RequestError: as `fill`.
            EngineError: as `fill`.
        """
        self._check(name, {**values, variable: ""})
        return self._filled(name, [{**values, variable: text} for text in texts])

    def _filled(self, name: str, each: Sequence[Mapping[str, Any]]) -> list[str]:
        # Not at the start: a kit without prompts does not need jinja2.
        from mealkit.templating.meter import CostMeter  # noqa: PLC0415
        from mealkit.templating.prompts import MEMORY_BYTES, WORK  # noqa: PLC0415

        template = self._templates[name]
        filled: list[str] = []
        work, memory_bytes = WORK * _WORK_TOGETHER, MEMORY_BYTES
        for values in each:
            if work < WORK or memory_bytes < MEMORY_BYTES // 4:
                message = f"the prompt {name!r} takes too much time for {len(each)} texts"
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
    # Late: most kits have no prompts and need not import jinja2.
    from mealkit.runtime.api.prompt_template import PromptTemplate  # noqa: PLC0415

    return {name: PromptTemplate(name, prompt.text) for name, prompt in locked.items()}
