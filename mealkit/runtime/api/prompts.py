"""The kit's prompts, filled in by name with the variables that they declare.

Refuses unknown prompts, and missing and unknown variables.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mealkit.errors import failure
from mealkit.lock.model import LockedPrompt

if TYPE_CHECKING:
    from mealkit.runtime.api.template import PromptTemplate


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

    def fill(self, name: str, values: Mapping[str, Any]) -> str:
        """Return a prompt with its variables filled in.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, there is no such prompt or variable;
                ``REQUEST_INVALID``, a variable is missing, is not text, or breaks the template.
        """
        declared = self.variables(name)
        for given in values:
            if given not in declared:
                message = f"the prompt {name!r} has no variable {given!r}"
                raise failure("REQUEST_UNSUPPORTED", message, where=f"variables.{given}")
        for variable in declared:
            if variable not in values:
                message = f"the prompt {name!r} needs the variable {variable!r}"
                raise failure("REQUEST_INVALID", message, where=f"variables.{variable}")
        return self._templates[name].fill(values)


def _compiled(locked: Mapping[str, LockedPrompt]) -> "dict[str, PromptTemplate]":
    if not locked:
        return {}
    # Late: most kits have no prompts, and need not wait for jinja2.
    from mealkit.runtime.api.template import PromptTemplate  # noqa: PLC0415

    return {name: PromptTemplate(name, prompt.text) for name, prompt in locked.items()}
