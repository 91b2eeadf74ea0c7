"""The kit's prompts, filled in by name: sandboxed jinja2 in which every variable must be given.

Refuses unknown prompts, missing and unknown variables, values that are not text, and templates
that write without end.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.environment import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mealkit.errors import failure
from mealkit.lock.model import LockedPrompt

# What one filled-in prompt may have; far more than any context holds.
MAX_CHARACTERS = 16 * 1024 * 1024


class Prompts:
    """The prompts of one kit, compiled once."""

    def __init__(self, locked: Mapping[str, LockedPrompt]) -> None:
        """Compile them.

        Raises:
            LockError: ``LOCK_INVALID``, one of them is not a template.
        """
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined,
            # A prompt is text; nothing in it is written for a browser.
            autoescape=False,
            keep_trailing_newline=True,
        )
        self._variables = {name: tuple(prompt.variables) for name, prompt in locked.items()}
        self._templates: dict[str, Template] = {}
        for name, prompt in locked.items():
            try:
                self._templates[name] = environment.from_string(prompt.text)
            except TemplateSyntaxError as error:
                message = f"the prompt {name!r} is not a template: {error.message}"
                raise failure("LOCK_INVALID", message, where=f"prompts.{name}") from error

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
        try:
            return _gather(name, self._templates[name].generate(**values))
        # The sandbox refuses, and templates fail, in as many ways as Python has.
        except (TemplateError, ArithmeticError, ValueError, TypeError, LookupError) as error:
            message = f"the prompt {name!r} cannot be filled in: {error}"
            raise failure("REQUEST_INVALID", message, where="variables") from error


def _gather(name: str, parts: Iterable[str]) -> str:
    gathered: list[str] = []
    size = 0
    for part in parts:
        size += len(part)
        if size > MAX_CHARACTERS:
            message = f"the prompt {name!r} has more than {MAX_CHARACTERS} characters, filled in"
            raise failure("REQUEST_TOO_LARGE", message, where="variables")
        gathered.append(part)
    return "".join(gathered)
