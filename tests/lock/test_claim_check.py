"""What a kit says of its claims, cases and data sets fits together, or is named with its line."""

from typing import Any

import pytest
from fakes.kits import KIT, kit_of, with_value

from mealkit.errors import Problem
from mealkit.lock.claim_check import claim_problems
from mealkit.recipe.kit import Task

PAIRS = {"source": "folder", "path": "data", "files": ["pairs.jsonl"], "into": "test"}
MANY = {"source": "folder", "path": "data", "files": ["a.csv", "b.csv"]}
ANY = {"source": "folder", "path": "data", "files": ["*.jsonl"]}
SIMILARITY = {"kind": "similarity", "first": "a", "second": "b"}
QUERY = {"file": "prompts/query.jinja", "variables": ["text", "language"]}


def claim(**fields: Any) -> dict[str, Any]:
    form = {
        "name": "table-1",
        "source": "Table 1",
        "data": "pairs",
        "ask": SIMILARITY,
        "metric": "spearman",
        "value": 0.8,
        "tolerance": {"absolute": 0.01},
    }
    return {name: value for name, value in {**form, **fields}.items() if value is not None}


def case(**fields: Any) -> dict[str, Any]:
    return {"name": "greeting", "request": {"input": "Hello"}, **fields}


def problems(task: Task = Task.EMBEDDINGS, **fields: Any) -> list[Problem]:
    form = with_value(KIT, "datasets", {"pairs": PAIRS, "many": MANY, "any": ANY})
    form["prompts"] = {"query": QUERY}
    kit = kit_of({**form, **fields})
    return claim_problems(kit, task, lambda path: ".".join(map(str, path)))


GENERATION = {"kind": "generation", "prompt": "query"}


@pytest.mark.parametrize(
    ("found", "where", "message", "hint"),
    [
        (claim(data="pair"), "data", "no data set 'pair'", "pairs, many, any"),
        (claim(data="many"), "data", "many has 2 files", "many/a.csv, many/b.csv"),
        (claim(data="many/c.csv"), "data", "has no file 'c.csv'", "many/a.csv"),
        (claim(data="pairs/pairs.jsonl"), "data", "has no file", "pairs/test/pairs.jsonl"),
        (claim(ask={"kind": "classification"}), "ask.kind", "task embeddings", "similarity"),
        (
            claim(metric="mrr", ask={"kind": "retrieval", "query": "q", "corpus": "docs"}),
            "ask.corpus",
            "no data set 'docs'",
            "pairs",
        ),
        (claim(metric="bleu"), "metric", "does not measure", "spearman, pearson"),
        (claim(name="other"), "name", "has the name other, too", "own name"),
        (claim(value=96), "value", "it is 96, and spearman is from -1 to 1", "write 0.96 for 96 %"),
        (claim(value=-2), "value", "it is -2, and spearman is from -1 to 1", "write -0.02"),
        (claim(paper_value=88.1), "paper_value", "it is 88.1", "write 0.881"),
        (
            claim(tolerance={"minimum": 0.9}),
            "tolerance",
            "the claimed value 0.8 is not allowed by it: 0.9 or more",
            "bounds around",
        ),
        (claim(seeds=[1, 2, 1]), "seeds", "a seed appears twice", "delete"),
    ],
)
def test_a_claim_that_does_not_fit_the_kit_is_named(found, where, message, hint):
    """The field, what is wrong, and what to write instead."""
    (problem,) = problems(claims=[claim(name="other"), found])
    assert problem.code == "KIT_INVALID"
    assert problem.where == f"claims.1.{where}"
    assert problem.message.startswith(f"claims[1].{where}: ")
    assert message in problem.message
    assert hint in (problem.hint or "")


@pytest.mark.parametrize(
    ("ask", "where", "message"),
    [
        ({"prompt": "passage"}, "ask.prompt", "no prompt passage; it has query"),
        ({"variables": {"text": "t"}}, "ask.variables", "variable language, which gets no column"),
        (
            {"variables": {"text": "t", "language": "l", "tone": "x"}},
            "ask.variables.tone",
            "has no variable tone",
        ),
        (
            {"prompt": None, "text": "t", "variables": {"text": "t"}},
            "ask.variables",
            "the claim names none",
        ),
    ],
)
def test_a_claim_gives_a_prompt_of_the_kit_each_variable(ask, where, message):
    """A missing prompt or variable would fail for each row of the data."""
    whole = {name: value for name, value in {**GENERATION, **ask}.items() if value is not None}
    (problem,) = problems(Task.GENERATION, claims=[claim(ask=whole, metric="bleu")])
    assert problem.where == f"claims.0.{where}"
    assert message in problem.message


@pytest.mark.parametrize(
    ("found", "where", "message"),
    [
        (case(request={"model": "m"}), "request.model", "the kit's own name"),
        (case(files={"image": "a.png"}), "files", "no files in its input"),
        (case(expect=[{"matches": "(a"}]), "expect.0.matches", "unclosed group"),
        (case(expect=[{"matches": "(?=a)b"}]), "expect.0.matches", "look-around"),
        (case(expect=[{"schema": {"type": "objec"}}]), "expect.0.schema", "not valid"),
        (
            case(expect=[{"schema": {"$ref": "https://a.invalid/x"}}]),
            "expect.0.schema",
            "a.invalid/x",
        ),
    ],
)
def test_a_case_that_can_never_be_true_is_named(found, where, message):
    """A pattern or a schema that cannot be used is found before a test is run; nothing is fetched."""
    (problem,) = problems(cases=[found])
    assert problem.where == f"cases.0.{where}"
    assert message in problem.message


def test_a_schema_of_the_data_contract_that_cannot_be_used_is_named():
    """It is found when the kit is checked, and not when the gateway starts."""
    rules = {"schema": {"schema": {"pattern": "(?=a)b"}}}
    (problem,) = problems(data={"inputs": {"input": rules}})
    assert problem.where == "data.inputs.input.schema.schema"
    assert "cannot be used" in problem.message


def test_a_kit_whose_fields_fit_has_no_problems():
    """A pattern of files is left to the lock, and a claim without data to the reader."""
    found = [
        claim(data="pairs/test/pairs.jsonl"),
        claim(name="b", data="any/x.jsonl"),
        claim(name="c", data="any"),
        claim(name="d", data=None, ask=None),
    ]
    expected = [{"matches": "^a+$"}, {"schema": {"type": "string"}}, {"equals": None}]
    assert problems(claims=found, cases=[case(expect=expected)]) == []


def test_two_hundred_wrong_claims_are_not_all_shown():
    """The first fifty problems suffice to correct a kit."""
    found = problems(claims=[claim(name=f"c{number}", data="x") for number in range(200)])
    assert len(found) == 50


def test_a_data_set_has_no_publishers_signature():
    """What nothing checks must not look as if it were checked."""
    (problem,) = problems(datasets={"pairs": {**PAIRS, "signed_by": {"key": "a.pub"}}})
    assert problem.where == "datasets.pairs.signed_by"
