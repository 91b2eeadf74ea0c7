"""One prompt's template, in jinja2's sandbox with a budget; every variable must be given.

The gateway fills in prompts in the process that answers all callers, so each step's cost is counted
before the step runs. Most prompts are text with variables only; they are joined without jinja2.
Raises the errors of `mealkit check` for templates that it rejects. Imported only for a kit that has
prompts: importing jinja2 takes a tenth of the gateway's start.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import nodes

from mealkit.errors import MealkitError, failure
from mealkit.templating.environment import BoundedTemplate
from mealkit.templating.meter import CostMeter, TooCostlyError
from mealkit.templating.parsing import TemplateRefusedError
from mealkit.templating.prompts import prompt_environment, read_prompt
from mealkit.templating.weight import text_bytes

# If the values are at most this long, the template causes the cost, not the caller.
_SMALL_CHARACTERS = 4096
_SHOWN = 200


class PromptTemplate:
    """A compiled prompt."""

    def __init__(self, name: str, text: str) -> None:
        """Compile the prompt.

        Raises:
            LockError: ``LOCK_INVALID``, it is not a template, or `mealkit check` rejects it.
        """
        self._name = name
        try:
            tree = read_prompt(text)
            self._pieces = _pieces(tree)
            self._template = BoundedTemplate(prompt_environment(), tree)
        except TemplateRefusedError as error:
            line = "" if error.line is None else f" (line {error.line})"
            message = f"the prompt {name!r} is not a template that can be applied: {error}{line}"
            raise failure("LOCK_INVALID", message, where=f"prompts.{name}") from error

    @property
    def is_plain(self) -> bool:
        """Whether the prompt is only text with variables."""
        return self._pieces is not None

    def fill(self, values: Mapping[str, Any], meter: CostMeter) -> str:
        """Return the prompt with its variables filled in, and charge the cost to a budget.

        Raises:
            RequestError: ``REQUEST_INVALID``, a value breaks the template; ``REQUEST_TOO_LARGE``.
            EngineError: ``TEMPLATE_COST``, the template costs too much even for short values.
        """
        try:
            if self._pieces is not None:
                return _put_together(self._pieces, values, meter)
            return self._template.render(values, meter)
        except TooCostlyError as error:
            raise self._too_costly(values) from error
        # Template code can raise any exception of Python, and so can the sandbox.
        except Exception as error:
            said = str(error)[:_SHOWN] or type(error).__name__
            message = f"the prompt {self._name!r} cannot be filled in: {said}"
            raise failure("REQUEST_INVALID", message, where="variables") from error

    def _too_costly(self, values: Mapping[str, Any]) -> MealkitError:
        characters = sum(len(value) for value in values.values() if isinstance(value, str))
        takes = f"the prompt {self._name!r} takes too much time or memory"
        if characters > _SMALL_CHARACTERS:
            message = f"{takes}, filled in with {characters} characters"
            return failure("REQUEST_TOO_LARGE", message, where="variables")
        return failure("TEMPLATE_COST", takes, where=f"prompts.{self._name}")


def _pieces(tree: nodes.Template) -> list[tuple[bool, str]] | None:
    """Return a template as texts and names of variables; None if it has other statements."""
    pieces: list[tuple[bool, str]] = []
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            return None
        for part in statement.nodes:
            match part:
                case nodes.TemplateData(data=text):
                    pieces.append((False, text))
                case nodes.Name(name=name) if name not in prompt_environment().globals:
                    pieces.append((True, name))
                case _:
                    return None
    return pieces


def _put_together(
    pieces: Sequence[tuple[bool, str]], values: Mapping[str, Any], meter: CostMeter
) -> str:
    texts = [values[text] if is_name else text for is_name, text in pieces]
    meter.spend(len(texts), sum(map(text_bytes, texts)))
    return "".join(texts)
