"""Prompts are jinja templates: whether they can be parsed, and where they cannot."""

from collections.abc import Iterator, Mapping

import jinja2
import jinja2.meta

from mealkit.errors import Problem, problem
from mealkit.kit.model import Kit, Prompt


def prompt_problems(kit: Kit, texts: Mapping[str, str]) -> list[Problem]:
    """Return a problem for every prompt that is no jinja template, or takes other variables."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701  prompts are text, not HTML
    problems: list[Problem] = []
    for name, prompt in kit.prompts.items():
        try:
            taken = jinja2.meta.find_undeclared_variables(environment.parse(texts[name]))
        except jinja2.TemplateSyntaxError as error:
            message = f"the prompt {name!r} is not a template: {_lowered(error.message or '')}"
            where = f"{prompt.file}:{error.lineno}"
            problems.append(problem("KIT_PROMPT_INVALID", message, where=where))
        except RecursionError:
            message = f"the prompt {name!r} nests too deep"
            problems.append(problem("KIT_PROMPT_INVALID", message, where=prompt.file))
        else:
            problems += _variable_problems(name, prompt, taken)
    return problems


def _variable_problems(name: str, prompt: Prompt, taken: set[str]) -> Iterator[Problem]:
    """Hold the variables that a template takes against those that the kit declares."""
    declared = set(prompt.variables)
    for variable in sorted(taken - declared):
        message = f"the prompt {name!r} takes {variable!r}, which the kit does not declare"
        hint = f"add it to prompts.{name}.variables"
        yield problem("KIT_PROMPT_INVALID", message, where=prompt.file, hint=hint)
    for variable in sorted(declared - taken):
        message = f"the prompt {name!r} does not take {variable!r}, which the kit declares"
        hint = f"take it out of prompts.{name}.variables"
        yield problem("KIT_PROMPT_INVALID", message, where=prompt.file, hint=hint)


def _lowered(text: str) -> str:
    return (text[:1].lower() + text[1:]).rstrip(".")
