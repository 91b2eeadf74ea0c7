"""Checks a kit's data contract against its task, its prompts and its engine. No I/O.

A rule for an input that no request has would never be checked, and nothing would say so.
"""

from collections.abc import Collection, Iterator

from mealkit.contract.text_language import KNOWN_LANGUAGES
from mealkit.contract.text_length import counts_tokens
from mealkit.errors import Problem, problem
from mealkit.kit.document import Path
from mealkit.kit.wording import dotted
from mealkit.lock.claim_check import Where
from mealkit.recipe.kit import Feature, Kit, Task
from mealkit.untrusted import shown

_INPUTS = {
    Task.EMBEDDINGS: ("input",),
    Task.CLASSIFICATION: ("input",),
    Task.RERANKING: ("query", "documents"),
    Task.GENERATION: ("messages", "prompt"),
}
_NO_CODE = (
    "write its code in ISO 639-1, such as de for German; "
    "if it is that, the rule is not for this language"
)


def contract_problems(kit: Kit, task: Task, where: Where) -> list[Problem]:
    """Return what is wrong with a kit's data contract.

    An input that no request has (those of the paper's own code are known only when it has loaded),
    and a language that cannot be told. ``where`` returns the line of a field.
    """
    return [*_unknown_inputs(kit, task, where), *_unknown_languages(kit, where)]


def _unknown_inputs(kit: Kit, task: Task, where: Where) -> Iterator[Problem]:
    if kit.data is None or task is Task.PREDICTION:
        return
    variables = {name for prompt in kit.prompts.values() for name in prompt.variables}
    known = {*_INPUTS.get(task, ()), *variables, *(("variables",) if variables else ())}
    hint = f"write one of {', '.join(sorted(known))}"
    for name in kit.data.inputs:
        if name.partition(".")[0] not in known:
            message = f"no request has the input {shown(name)}"
            yield _problem(("data", "inputs", name), message, where, hint)


def _unknown_languages(kit: Kit, where: Where) -> Iterator[Problem]:
    for name, rules in kit.data.inputs.items() if kit.data else ():
        path: Path = ("data", "inputs", name, "languages", "allowed")
        for code in rules.languages.allowed if rules.languages else ():
            if code not in KNOWN_LANGUAGES:
                message = f"texts in the language {shown(code)} cannot be told"
                yield _problem(path, message, where, _NO_CODE)


def contract_warnings(kit: Kit, features: Collection[Feature], where: Where) -> list[Problem]:
    """Return the rules that the gateway cannot check: tokens, if the engine does not count them."""
    if kit.data is None or Feature.TOKENS in features:
        return []
    message = "the kit's engine does not count tokens, so the rule is not checked"
    return [
        _problem(("data", "inputs", name, "length"), message, where, "limit the characters")
        for name, rules in kit.data.inputs.items()
        if rules.length and counts_tokens(rules.length)
    ]


def _problem(path: Path, message: str, where: Where, hint: str) -> Problem:
    return problem("KIT_INVALID", f"{dotted(path)}: {message}", where=where(path), hint=hint)
