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
from mealkit.recipe.data_contract import InputContract
from mealkit.recipe.kit import Feature, Kit, Task
from mealkit.untrusted import shown

_INPUTS = {
    Task.EMBEDDINGS: ("input",),
    Task.CLASSIFICATION: ("input",),
    Task.RERANKING: ("query", "documents"),
    Task.GENERATION: ("messages", "prompt"),
}


def contract_problems(
    kit: Kit, task: Task, features: Collection[Feature], where: Where
) -> list[Problem]:
    """Return what is wrong with a kit's data contract; ``where`` returns the line of a field.

    The inputs of the paper's own code are known only when it has loaded.
    """
    if kit.data is None:
        return []
    variables = {name for prompt in kit.prompts.values() for name in prompt.variables}
    known = {*_INPUTS.get(task, ()), *variables, *(("variables",) if variables else ())}
    found = []
    for name, rules in kit.data.inputs.items():
        path: Path = ("data", "inputs", name)
        if task is not Task.PREDICTION and name.partition(".")[0] not in known:
            message = f"a request to this kit has no input {shown(name)}"
            found.append(_problem(path, message, where, f"write one of {', '.join(sorted(known))}"))
        found += _rule_problems(rules, path, features, where)
    return found


def _rule_problems(
    rules: InputContract, path: Path, features: Collection[Feature], where: Where
) -> Iterator[Problem]:
    if rules.length and counts_tokens(rules.length) and Feature.TOKENS not in features:
        message = "the kit's engine does not count tokens"
        yield _problem((*path, "length"), message, where, "limit the characters")

    for code in rules.languages.allowed if rules.languages else ():
        if code not in KNOWN_LANGUAGES:
            message = f"texts in the language {code} cannot be told"
            alike = sorted(known for known in KNOWN_LANGUAGES if known.startswith(code[0]))
            hint = f"a code in ISO 639 is one of {', '.join(alike)}" if alike else ""
            yield _problem((*path, "languages", "allowed"), message, where, hint)


def _problem(path: Path, message: str, where: Where, hint: str) -> Problem:
    return problem("KIT_INVALID", f"{dotted(path)}: {message}", where=where(path), hint=hint)
