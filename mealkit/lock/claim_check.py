"""Checks what a kit says in several places about its claims, cases and data sets. No I/O.

A claim names a data set, a prompt and its variables; its question fits the task. A case has
statements that can be checked: a regular expression that compiles, a schema that is one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from mealkit.acceptance.judging import claim_fault, value_fault
from mealkit.acceptance.metric_table import METRICS
from mealkit.contract.value_schema import schema_fault
from mealkit.errors import Problem, problem
from mealkit.kit.document import Path
from mealkit.kit.wording import dotted
from mealkit.recipe.cases import Case, Expectation
from mealkit.recipe.claims import AskGeneration, AskRetrieval, Claimed
from mealkit.recipe.kit import Kit, Task
from mealkit.untrusted import shown

Where = Callable[[Path], str]

_ENOUGH = 50
_KINDS: Mapping[Task, tuple[str, ...]] = {
    Task.EMBEDDINGS: ("embedding", "similarity", "retrieval"),
    Task.GENERATION: ("generation",),
    Task.CLASSIFICATION: ("classification",),
    Task.RERANKING: ("reranking",),
    Task.PREDICTION: ("prediction",),
}
# A name with one of these is a pattern, so only the lock knows the files.
_SIGNS = frozenset("*?[")


def claim_problems(kit: Kit, task: Task, where: Where) -> list[Problem]:
    """Return what is wrong across the fields of a kit's claims, cases and data sets.

    ``where`` returns the line of a field. It stops after some fifty problems.
    """
    return [*islice(_problems(kit, task, where), _ENOUGH)]


def _problems(kit: Kit, task: Task, where: Where) -> Iterator[Problem]:
    for name, entry in kit.datasets.items():
        if entry.signed_by is not None:
            message = "a publisher's signature can only be demanded of weights"
            yield _problem(("datasets", name, "signed_by"), message, where, "delete signed_by")
    yield from _repeated("claims", [item.name for item in kit.claims], where)
    yield from _repeated("cases", [item.name for item in kit.cases], where)
    for name, rules in kit.data.inputs.items() if kit.data else ():
        fault = schema_fault(rules.schema_.schema_) if rules.schema_ else None
        if fault is not None:
            path: Path = ("data", "inputs", name, "schema", "schema")
            yield _problem(path, f"the schema cannot be used: {fault}", where)
    for index, claim in enumerate(kit.claims):
        yield from _claim_problems(kit, claim, task, ("claims", index), where)
    for index, case in enumerate(kit.cases):
        yield from _case_problems(case, task, ("cases", index), where)


def _problem(path: Path, message: str, where: Where, hint: str | None = None) -> Problem:
    return problem("KIT_INVALID", f"{dotted(path)}: {message}", where=where(path), hint=hint)


def _repeated(field: str, names: Sequence[str], where: Where) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in seen:
            message = f"{field}[{seen[name]}] has the name {name}, too"
            yield _problem((field, index, "name"), message, where, "give each one its own name")
        seen.setdefault(name, index)


def _claim_problems(
    kit: Kit, claim: Claimed, task: Task, path: Path, where: Where
) -> Iterator[Problem]:
    ask = claim.ask
    yield from _value_problems(claim, path, where)
    if claim.data is not None:
        yield from _data_problems(kit, claim.data, (*path, "data"), where)
    if ask is None:
        return
    if ask.kind not in _KINDS[task]:
        message = f"a kit with the task {task} is not asked for {ask.kind}"
        hint = f"write kind: {' or '.join(_KINDS[task])}"
        yield _problem((*path, "ask", "kind"), message, where, hint)
    kinds = METRICS[claim.metric].kinds
    if kinds and ask.kind in _KINDS[task] and ask.kind not in kinds:
        fitting = [metric.value for metric, traits in METRICS.items() if ask.kind in traits.kinds]
        message = f"{claim.metric.value} does not measure answers to the question {ask.kind}"
        hint = f"write one of these: {', '.join(fitting)}"
        yield _problem((*path, "metric"), message, where, hint)
    if isinstance(ask, AskRetrieval):
        yield from _data_problems(kit, ask.corpus, (*path, "ask", "corpus"), where)
    if isinstance(ask, AskGeneration):
        yield from _prompt_problems(kit, ask, (*path, "ask"), where)


def _value_problems(claim: Claimed, path: Path, where: Where) -> Iterator[Problem]:
    """Yield a problem for values that the metric cannot have, or that contradict each other."""
    faults = [claim_fault(claim)]
    if claim.paper_value is not None:
        faults.append(value_fault(claim.metric, claim.paper_value, "paper_value"))
    for fault in faults:
        if fault is not None:
            yield _problem((*path, fault.field), fault.message, where, fault.hint)
    if len(set(claim.seeds)) != len(claim.seeds):
        message = "a seed appears twice, and would count twice"
        yield _problem((*path, "seeds"), message, where, "delete one of them")


def _data_problems(kit: Kit, named: str, path: Path, where: Where) -> Iterator[Problem]:
    """Yield a problem if no data set gives the file that a claim names, or several files do."""
    name, _, file = named.partition("/")
    entry = kit.datasets.get(name)
    if entry is None:
        known = ", ".join(kit.datasets)
        hint = "add it to datasets" + (f", or name one of these: {known}" if known else "")
        yield _problem(path, f"there is no data set {shown(name)}", where, hint)
        return
    if any(_SIGNS & set(item) for item in entry.files):
        return  # the lock knows the files, and is checked when it is written
    files = [f"{entry.into}/{item}" if entry.into else item for item in entry.files]
    if file and file not in files:
        message = f"the data set {name} has no file {shown(file)}"
    elif not file and len(files) > 1:
        message = f"the data set {name} has {len(files)} files"
    else:
        return
    hint = f"write one of these: {', '.join(f'{name}/{item}' for item in files[:5])}"
    yield _problem(path, message, where, hint)


def _prompt_problems(kit: Kit, ask: AskGeneration, path: Path, where: Where) -> Iterator[Problem]:
    if ask.prompt is None:
        if ask.variables:
            message = "variables are those of a prompt, and the claim names none"
            yield _problem((*path, "variables"), message, where, "name a prompt of the kit")
        return
    prompt = kit.prompts.get(ask.prompt)
    if prompt is None:
        known = ", ".join(kit.prompts) or "none"
        message = f"the kit has no prompt {ask.prompt}; it has {known}"
        yield _problem((*path, "prompt"), message, where, "name one of the kit's prompts")
        return
    for name in prompt.variables:
        if name not in ask.variables:
            message = f"the prompt {ask.prompt} has the variable {name}, which gets no column"
            yield _problem((*path, "variables"), message, where, f"add: {name}: COLUMN")
    for name in ask.variables:
        if name not in prompt.variables:
            message = f"the prompt {ask.prompt} has no variable {name}"
            yield _problem((*path, "variables", name), message, where, f"delete {name}")


def _case_problems(case: Case, task: Task, path: Path, where: Where) -> Iterator[Problem]:
    if "model" in case.request:
        message = "model is the kit's own name, which mealkit adds"
        yield _problem((*path, "request", "model"), message, where, "delete model")
    if case.files and task is not Task.PREDICTION:
        message = f"a kit with the task {task} has no files in its input"
        yield _problem((*path, "files"), message, where, "delete files")
    for index, expected in enumerate(case.expect):
        yield from _expectation_problems(expected, (*path, "expect", index), where)


def _expectation_problems(expected: Expectation, path: Path, where: Where) -> Iterator[Problem]:
    if expected.matches is not None and (fault := _pattern_fault(expected.matches)):
        message = f"not a regular expression in Rust's syntax: {fault}"
        yield _problem((*path, "matches"), message, where, "correct it; see docs.rs/regex")
    if expected.schema_ is not None and (fault := schema_fault(expected.schema_)):
        hint = "correct it; https://json-schema.org/draft/2020-12"
        yield _problem((*path, "schema"), f"not a usable JSON Schema: {fault}", where, hint)


def _pattern_fault(pattern: str) -> str | None:
    from pydantic_core import SchemaError, SchemaValidator, core_schema  # noqa: PLC0415  late

    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError as error:
        return shown(str(error).split("\n")[-1] or str(error))
    return None
