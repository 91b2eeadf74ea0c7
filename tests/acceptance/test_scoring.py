"""Each metric has the value that its definition gives, and a missing answer counts as wrong."""

import math

import numpy as np
import pytest

from mealkit.acceptance.metric_table import METRICS
from mealkit.acceptance.scored import UNANSWERED, Pair, interval
from mealkit.acceptance.scoring import fault_of, scored
from mealkit.errors import MealkitError
from mealkit.recipe.claims import Metric

DOCUMENTS = {"a": 0.9, "b": 0.8, "c": 0.1}


def pairs_of(*values):
    return [
        Pair(expected, answered, f"rows:{at}") for at, (expected, answered) in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("metric", "pairs", "value"),
    [
        (Metric.ACCURACY, [("x", "x"), ("y", "x"), (1, "1"), ("z", UNANSWERED)], 0.5),
        (Metric.F1_MACRO, [("x", "x"), ("x", "y"), ("y", "y"), ("y", "y")], (2 / 3 + 0.8) / 2),
        (Metric.F1_MICRO, [("x", "x"), ("x", "y"), ("y", "y"), ("y", "y")], 0.75),
        (Metric.F1_WEIGHTED, [("x", "x"), ("x", "y"), ("y", "y"), ("y", "y")], (2 / 3 + 0.8) / 2),
        (Metric.F1_MACRO, [("x", "x"), ("y", UNANSWERED)], 0.5),
        (Metric.EXACT_MATCH, [("a", "a"), ("a", "A"), ("a", UNANSWERED)], 1 / 3),
        (Metric.NORMALISED_MATCH, [("The end.", " the  END"), ("a", "b")], 0.5),
        (Metric.SPEARMAN, [(1, 0.1), (2, 0.2), (3, 0.9)], 1.0),
        (Metric.SPEARMAN, [("1", 3), ("2", 2), ("3", 1)], -1.0),
        (Metric.PEARSON, [(1, 2), (2, 4), (3, 6)], 1.0),
        (Metric.MAE, [(1, 2), (5, 2)], 2.0),
        (Metric.MAE, [([1, 2], [2, 4]), ([5, 5], [2, 5])], 1.5),
        (Metric.MAE, [([1], [2]), ([5, 5], [2, 5])], 4 / 3),
        (Metric.RMSE, [(1, 2), (5, 2)], math.sqrt(5)),
        (Metric.SMAPE, [(1, 3), (0, 0)], 50.0),
        (Metric.R2, [(1, 1), (2, 2), (3, 3)], 1.0),
        (Metric.JSON_EQUAL, [({"a": 1}, '{"a": 1.0}'), ([1], [True]), ("x", "x")], 2 / 3),
        (Metric.CLOSE, [(1.0, 1.000001), (1.0, 1.1), ([1, 2], [1, 2])], 2 / 3),
        (Metric.COSINE, [([1, 0], [2, 0]), ([1, 0], [0, 1]), ([1, 0], UNANSWERED)], 1 / 3),
        (Metric.MRR, [("b", DOCUMENTS), (["a", "c"], DOCUMENTS), ("a", UNANSWERED)], 0.5),
        (Metric.NDCG_10, [("a", DOCUMENTS), ("b", DOCUMENTS)], (1 + 1 / math.log2(3)) / 2),
        (Metric.RECALL_1, [("b", DOCUMENTS), (["a", "c"], DOCUMENTS)], 0.25),
        (Metric.RECALL_5, [("c", DOCUMENTS)], 1.0),
        (Metric.WER, [("one two", "one three"), ("a b", UNANSWERED)], 0.75),
        (Metric.BLEU, [("the cat sat on the mat", "the cat sat on the mat")], 100.0),
        (Metric.CHRF, [("the cat", "the cat"), ("a dog", UNANSWERED)], None),
        (Metric.ROUGE_1, [("the cat sat", "the cats sat"), ("a", UNANSWERED)], 0.5),
        (Metric.ROUGE_L, [("a b c d", "a c d b")], 0.75),
    ],
)
def test_a_metric_has_its_value(metric, pairs, value):
    """Computed by the libraries from right answers and answers of the kinds that occur."""
    made = scored(metric, pairs_of(*pairs))
    found = made.value(range(len(pairs)))
    if value is None:
        assert 0 < found < 100
    else:
        assert found == pytest.approx(value)
    if made.values is not None:
        assert made.values(np.arange(len(pairs))) == pytest.approx(found)
        both = made.values(np.asarray([range(len(pairs))] * 2))
        assert both.tolist() == pytest.approx([found, found])


def test_every_metric_of_answers_is_computed():
    """The table and what computes it name the same metrics."""
    numbers = {Metric.SPEARMAN, Metric.PEARSON, Metric.MAE, Metric.RMSE, Metric.SMAPE, Metric.R2}
    rankings = {item for item, traits in METRICS.items() if "retrieval" in traits.kinds}
    for metric, traits in METRICS.items():
        if traits.is_speed:
            continue
        first, second = (1.0, 2.0) if metric in numbers | {Metric.CLOSE} else ("1", "2")
        if metric in rankings:
            answers = [("a", DOCUMENTS)] * 3
        elif metric is Metric.COSINE:
            answers = [([1.0], [2.0])] * 3
        else:
            answers = [(first, first), (second, second), (3.0 if first == 1.0 else "3", first)]
        assert math.isfinite(scored(metric, pairs_of(*answers)).value(range(3))), metric


def test_the_interval_is_that_of_the_rows():
    """The bootstrap's interval contains the value, and is the same each time."""
    made = scored(Metric.ACCURACY, pairs_of(*[("x", "xy"[at % 4 == 0]) for at in range(100)]))
    low, high = interval(made, 100)
    assert low < 0.75 < high
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.75 * 0.25 / 100), rel=0.2)
    assert interval(made, 100) == (low, high)
    assert interval(made, 1) is None


@pytest.mark.parametrize(
    ("metric", "expected", "answered", "fault"),
    [
        (Metric.MAE, 1, "many", "not a number"),
        (Metric.MAE, 1, float("nan"), "not a finite number"),
        (Metric.MAE, 1, True, "not a number"),
        (Metric.MAE, 1, [], "empty list"),
        (Metric.COSINE, [1, 2], [1], "has 1 numbers"),
        (Metric.MAE, 1, "2.5", None),
        (Metric.ACCURACY, "x", {"any": "thing"}, None),
    ],
)
def test_an_answer_of_another_type_is_named(metric, expected, answered, fault):
    """An answer that cannot be scored is the kit's problem, and says which type it has."""
    found = fault_of(metric, Pair(expected, answered, "rows:1"))
    assert found is None if fault is None else fault in found


@pytest.mark.parametrize(
    ("metric", "expected", "answered"),
    [(Metric.MAE, "x", 1), (Metric.MRR, "z", DOCUMENTS), (Metric.NDCG_10, [], DOCUMENTS)],
)
def test_a_right_answer_that_cannot_be_is_the_datas_problem(metric, expected, answered):
    """The problem names the file and the row."""
    pair = Pair(expected, answered, "rows.jsonl:7")
    with pytest.raises(MealkitError) as raised:
        assert fault_of(metric, pair) or scored(metric, [pair])
    assert raised.value.problems[0].code == "TEST_DATA_INVALID"
    assert raised.value.problems[0].where == "rows.jsonl:7"
