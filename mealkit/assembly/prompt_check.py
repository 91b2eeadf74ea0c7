"""Checks prompts, which are jinja templates, and reports what is wrong where.

Prompts are parsed, never rendered: their variables are found in the syntax tree.
"""

from collections.abc import Iterator, Mapping

from mealkit.errors import Problem, problem
from mealkit.recipe.kit import Kit, Prompt
from mealkit.templating.parsing import TemplateRefusedError, size_of
from mealkit.templating.prompts import prompt_environment, read_prompt
from mealkit.templating.variables import names_taken

MAX_PARTS = 50_000
"""The maximum number of parts in all prompts of a kit together."""
_ENOUGH = 20


def prompt_problems(kit: Kit, texts: Mapping[str, str]) -> list[Problem]:
    """Return a problem for every prompt that the gateway would refuse, or with wrong variables.

    It stops after some twenty problems; further prompts are then not checked.
    """
    problems: list[Problem] = []
    known: dict[str, set[str]] = {}
    parts = 0
    for name, prompt in kit.prompts.items():
        text = texts[name]
        if text not in known:
            try:
                tree = read_prompt(text)
            except TemplateRefusedError as error:
                problems.append(_refused(name, prompt, error))
                if len(problems) >= _ENOUGH:
                    break
                continue
            parts += size_of(tree)
            if parts > MAX_PARTS:
                message = f"the prompts have more than {MAX_PARTS} parts together"
                problems.append(problem("KIT_PROMPT_INVALID", message, where=prompt.file))
                break
            known[text] = names_taken(tree, prompt_environment().globals)
        problems += _variable_problems(name, prompt, known[text])
    return problems


def _refused(name: str, prompt: Prompt, error: TemplateRefusedError) -> Problem:
    message = f"the prompt {name!r} is not a valid template: {error}"
    where = prompt.file if error.line is None else f"{prompt.file}:{error.line}"
    return problem("KIT_PROMPT_INVALID", message, where=where)


def _variable_problems(name: str, prompt: Prompt, taken: set[str]) -> Iterator[Problem]:
    """Compare the variables that a template uses with those that the kit declares."""
    declared = set(prompt.variables)
    for variable in sorted(taken - declared):
        message = f"the prompt {name!r} uses {variable!r}, which the kit does not declare"
        hint = f"add it to prompts.{name}.variables"
        yield problem("KIT_PROMPT_INVALID", message, where=prompt.file, hint=hint)
    for variable in sorted(declared - taken):
        message = f"the prompt {name!r} does not use {variable!r}, which the kit declares"
        hint = f"remove it from prompts.{name}.variables"
        yield problem("KIT_PROMPT_INVALID", message, where=prompt.file, hint=hint)
