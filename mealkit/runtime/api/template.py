"""One prompt's template: sandboxed jinja2 in which every variable must be given.

Refuses templates that write without end, and what the sandbox refuses. Imported only for a kit that
has prompts: jinja2 takes a tenth of the gateway's start.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mealkit.errors import failure

# What one filled-in prompt may have; far more than any context holds.
MAX_CHARACTERS = 16 * 1024 * 1024

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined,
    # A prompt is text; nothing in it is written for a browser.
    autoescape=False,
    keep_trailing_newline=True,
)


class PromptTemplate:
    """A prompt, compiled once."""

    def __init__(self, name: str, text: str) -> None:
        """Compile it.

        Raises:
            LockError: ``LOCK_INVALID``, it is not a template.
        """
        self._name = name
        try:
            self._template = _ENVIRONMENT.from_string(text)
        except TemplateSyntaxError as error:
            message = f"the prompt {name!r} is not a template: {error.message}"
            raise failure("LOCK_INVALID", message, where=f"prompts.{name}") from error

    def fill(self, values: Mapping[str, Any]) -> str:
        """Return the prompt with its variables filled in.

        Raises:
            RequestError: ``REQUEST_INVALID``, a value breaks the template; ``REQUEST_TOO_LARGE``.
        """
        try:
            return self._gather(self._template.generate(**values))
        # The sandbox refuses, and templates fail, in as many ways as Python has.
        except (TemplateError, ArithmeticError, ValueError, TypeError, LookupError) as error:
            message = f"the prompt {self._name!r} cannot be filled in: {error}"
            raise failure("REQUEST_INVALID", message, where="variables") from error

    def _gather(self, parts: Iterable[str]) -> str:
        gathered: list[str] = []
        size = 0
        for part in parts:
            size += len(part)
            if size > MAX_CHARACTERS:
                most = f"more than {MAX_CHARACTERS} characters"
                message = f"the prompt {self._name!r} has {most}, filled in"
                raise failure("REQUEST_TOO_LARGE", message, where="variables")
            gathered.append(part)
        return "".join(gathered)
