"""Checks the system prompt that a kit pins against its prompts, its task and its engine.

It is rendered with the kit's own values, on the budget that the gateway has for it.
"""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

from mealkit.errors import Problem, problem
from mealkit.kit.document import Path
from mealkit.kit.wording import dotted
from mealkit.lock.claim_check import Where
from mealkit.recipe.kit import Feature, Kit, Task
from mealkit.recipe.system_prompt import SystemPrompt
from mealkit.templating.environment import BoundedTemplate
from mealkit.templating.meter import CostMeter, TooCostlyError
from mealkit.templating.parsing import TemplateRefusedError
from mealkit.templating.prompts import MEMORY_BYTES, WORK, prompt_environment, read_prompt

_SHOWN = 200


def system_prompt_problems(
    kit: Kit,
    task: Task,
    features: Collection[Feature],
    texts: Mapping[str, str],
    where: Where,
) -> list[Problem]:
    """Return what is wrong with a kit's ``system_prompt``; ``where`` returns the line of a field.

    ``texts`` are the prompts' templates, which have passed their own check.
    """
    pinned = kit.system_prompt
    if pinned is None:
        return []
    if found := [*_use_problems(kit, pinned, task, features, where)]:
        return found
    return [*_text_problems(pinned, texts[pinned.prompt], where)]


def _use_problems(
    kit: Kit, pinned: SystemPrompt, task: Task, features: Collection[Feature], where: Where
) -> Iterator[Problem]:
    if task is not Task.GENERATION:
        message = f"a kit for {task.value} has no conversations, which a system prompt begins"
        yield _problem((), message, where, "delete system_prompt")
    elif Feature.CHAT not in features:
        message = "this kit has no chat, so its system prompt would never be used"
        hint = "set hyperparameters.chat_template to a template, or delete system_prompt"
        yield _problem((), message, where, hint)
    prompt = kit.prompts.get(pinned.prompt)
    if prompt is None:
        near = get_close_matches(pinned.prompt, kit.prompts, n=1)
        known = ", ".join(kit.prompts) or "none"
        message = f"the kit has no prompt {pinned.prompt}; it has {known}"
        lacking = f"write prompts: {{{pinned.prompt}: {{file: prompts/{pinned.prompt}.jinja}}}}"
        hint = f"did you mean {near[0]!r}?" if near else lacking
        yield _problem(("prompt",), message, where, hint)
        return
    for name in prompt.variables:
        if name not in pinned.values:
            message = f"the variable {name} of the prompt {pinned.prompt} has no value"
            hint = f"write values: {{{name}: ...}} below system_prompt; clients give no variables"
            yield _problem(("values",), message, where, hint)
    for name in pinned.values:
        if name not in prompt.variables:
            message = f"the prompt {pinned.prompt} has no variable {name}"
            near = get_close_matches(name, prompt.variables, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"delete {name}"
            yield _problem(("values", name), message, where, hint)


def _text_problems(pinned: SystemPrompt, source: str, where: Where) -> Iterator[Problem]:
    try:
        text = _filled(source, pinned)
    except _UnfilledError as error:
        message = f"the prompt {pinned.prompt} {error}"
        yield _problem(("prompt",), message, where, "correct its template, or the values")
        return
    except TemplateRefusedError:
        return  # the check of the prompts has reported it
    if not text.strip():
        message = f"the prompt {pinned.prompt} is empty with these values"
        yield _problem(("prompt",), message, where, "write its text, or delete system_prompt")


class _UnfilledError(Exception):
    """A prompt cannot be filled in with the kit's values."""


def _filled(source: str, pinned: SystemPrompt) -> str:
    tree = read_prompt(source)
    try:
        template = BoundedTemplate(prompt_environment(), tree)
        return template.render(pinned.values, CostMeter(WORK, MEMORY_BYTES))
    except TooCostlyError as error:
        raise _UnfilledError("takes too much time or memory") from error
    except Exception as error:  # a template can raise any exception
        said = str(error)[:_SHOWN] or type(error).__name__
        raise _UnfilledError(f"cannot be filled in: {said}") from error


def _problem(path: Path, message: str, where: Where, hint: str) -> Problem:
    place: Path = ("system_prompt", *path)
    return problem("KIT_INVALID", f"{dotted(place)}: {message}", where=where(place), hint=hint)
