"""Prompts are jinja templates: whether they can be parsed, and where they cannot."""

from collections.abc import Mapping

import jinja2

from mealkit.errors import Problem, problem
from mealkit.kit.model import Kit


def prompt_problems(kit: Kit, texts: Mapping[str, str]) -> list[Problem]:
    """Return a problem for every prompt that is not a jinja template, with its file and line."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701  prompts are text, not HTML
    problems: list[Problem] = []
    for name, prompt in kit.prompts.items():
        try:
            environment.parse(texts[name])
        except jinja2.TemplateSyntaxError as error:
            message = f"the prompt {name!r} is not a template: {_lowered(error.message or '')}"
            where = f"{prompt.file}:{error.lineno}"
            problems.append(problem("KIT_PROMPT_INVALID", message, where=where))
        except RecursionError:
            message = f"the prompt {name!r} nests too deep"
            problems.append(problem("KIT_PROMPT_INVALID", message, where=prompt.file))
    return problems


def _lowered(text: str) -> str:
    return (text[:1].lower() + text[1:]).rstrip(".")
