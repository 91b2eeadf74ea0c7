"""Results of model cards and result files become claims that say where each came from."""

import json

import pytest
import yaml

from mealkit.importing.proposal import kit_text
from mealkit.importing.published_results import MOST_RESULTS
from mealkit.importing.repository import Repository
from mealkit.importing.stated_claims import stated_claims
from mealkit.kit.document import read_document
from mealkit.recipe.claims import Claimed

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# As cards of sentence embedders state it (MTEB).
STS = """\
- task:
    type: STS
  dataset:
    name: MTEB STSBenchmark
    type: mteb/stsbenchmark-sts
    config: default
    split: test
    revision: b0fddb56ed78048fa8b90373c8a3cfc37b684831
  metrics:
  - type: cos_sim_spearman
    value: 87.21366640615442
  - type: euclidean_spearman
    value: 87.06060470780834
  - type: cos_sim_pearson
    value: 0.9
"""
# As a trainer writes it into a card of a classifier.
NER = """\
- task: {name: Token Classification, type: token-classification}
  dataset: {name: conll2003, type: conll2003, args: conll2003}
  metrics:
  - {name: F1, type: f1, value: 0.9318637274549098}
  - {name: Macro F1, type: f1, value: 0.91}
  - {name: Accuracy, type: accuracy, value: 0.9839865283492462, verified: true, verifyToken: eyJ}
  - {type: f1, args: {average: weighted}, value: 0.92}
"""
GPQA = """\
- dataset:
    id: Idavidrein/gpqa
    task_id: gpqa_diamond
  value: 41.2
  date: "2026-01-14"
  source:
    url: https://example.org/evals
    name: Eval traces
  notes: "no-tools"
- dataset: {id: cais/hle, task_id: default}
  value: 22.2
"""


def repository(results="", **files):
    """A repository whose card has these results, and with these result files."""
    lines = "".join(f"    {line}\n" for line in results.splitlines())
    card = f"---\nlicense: mit\nmodel-index:\n- name: m\n  results:\n{lines}---\n# m\n"
    texts = {"README.md": card, **{f".eval_results/{name}": text for name, text in files.items()}}
    return Repository("someone/m", COMMIT, dict.fromkeys(texts, 1), texts)


def test_a_card_of_an_embedder():
    """Percentages become shares, and a comment says what the card wrote."""
    found = stated_claims(repository(STS))
    spearman, pearson = found.claims
    assert spearman["name"] == "mteb-stsbenchmark-spearman"
    assert (spearman["metric"], spearman["value"]) == ("spearman", 0.8721366640615442)
    assert spearman["tolerance"] == {"absolute": 0.01}
    assert spearman["source"] == "README.md of someone/m, by its publisher"
    assert spearman["url"] == f"https://huggingface.co/someone/m/blob/{COMMIT}/README.md"
    assert "split: test; revision: b0fddb56" in spearman["description"]
    assert "data" not in spearman
    said = found.comments["claims", 0, "value"]
    assert said == (
        "Stated as 87.21366640615442, which was taken as a percentage, because it is larger than 1."
    )
    # 0.9 among percentages is 0.9 %.
    assert pearson["value"] == 0.009
    assert "other values of the file are larger than 1" in found.comments["claims", 1, "value"]
    (left,) = found.left_out
    assert "euclidean_spearman" in left.sentence
    assert "does not have the metric" in left.sentence


def test_a_card_of_a_classifier():
    """Shares stay; F1 becomes a claim only where its average is stated."""
    found = stated_claims(repository(NER))
    assert [(item["metric"], item["value"]) for item in found.claims] == [
        ("f1_macro", 0.91),
        ("accuracy", 0.9839865283492462),
        ("f1_weighted", 0.92),
    ]
    assert "taken as a share, and not as a percentage" in found.comments["claims", 0, "value"]
    assert "verify token (not checked): yes" in found.claims[1]["description"]
    (left,) = found.left_out
    assert "how F1 is averaged" in left.sentence


def test_result_files():
    """A file states no metric: it is known for some benchmarks, and other results are listed."""
    found = stated_claims(repository("[]", **{"gpqa diamond.yaml": GPQA, "hle.yml": "5"}))
    (claim,) = found.claims
    assert (claim["metric"], claim["value"]) == ("accuracy", 0.412)
    assert claim["url"].endswith(f"/blob/{COMMIT}/.eval_results/gpqa%20diamond.yaml")
    for part in ("task: gpqa_diamond", "date: 2026-01-14", "notes: no-tools", "from: Eval traces"):
        assert part in claim["description"]
    assert "states no metric" in found.comments["claims", 0, "metric"]
    said = [item.sentence for item in found.left_out]
    assert any("hle.yml: it is too large, or not valid" in item for item in said)
    assert any("cais/hle: the file states no metric" in item for item in said)


@pytest.mark.parametrize(
    ("metric", "stated", "value"),
    [
        ("accuracy", "87.2%", 0.872),
        ("accuracy", "0.5 %", 0.005),
        ("accuracy", 1, 1.0),
        ("accuracy", "0.87", 0.87),
        ("wer", 12.5, 0.125),
        ("wer", 0.125, 0.125),
        ("bleu", 34.1, 34.1),
        ("bleu", 0.341, 34.1),
        ("rougeL", 41.5, 0.415),
        ("rougeLsum", 41.5, None),
        ("chrf", 61.0, 61.0),
        ("chrf++", 61.0, None),
        ("mae", 250.5, 250.5),
        ("r_squared", 0.93, 0.93),
        ("ndcg_at_10", 49.3, 0.493),
        ("recall@100", 0.93, 0.93),
        ("cosine_accuracy", 0.93, None),
        ("accuracy", 870, None),
        ("accuracy", -5, None),
        ("mae", -1, None),
        ("accuracy", True, None),
        ("accuracy", None, None),
        ("accuracy", [1, 2], None),
        ("accuracy", {"a": 1}, None),
        ("accuracy", "NaN", None),
        ("accuracy", "1e999", None),
        ("accuracy", 10**400, None),
        ("accuracy", "9" * 10_000, None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_value_in_the_unit_that_mealkit_measures_in(metric, stated, value):
    """A value that is not a number, or a metric that mealkit does not have, becomes no claim."""
    results = json.dumps(
        [{"dataset": {"name": "d"}, "metrics": [{"type": metric, "value": stated}]}]
    )
    found = stated_claims(repository(results))
    assert [item["value"] for item in found.claims] == ([] if value is None else [value])
    assert bool(found.left_out) is (value is None)


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last}]\n"
    for last, name in zip("abcdef", "bcdefg", strict=True)
)
ODD = '<img src=x onerror=alert(1)>\\u202e\\u0000"; - [x](javascript:1) {{ 7 * 7 }}'


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "- " * 5000,
        "[" * 5000,
        "- {dataset: {id: .nan}, value: .inf}\n" * 10,
        "- {value: 1, dataset: 5, source: [], metrics: {}}\n- 5\n- []\n- null\n",
        "- dataset: {id: a}\n  metrics: [{metric_id: accuracy, value: .nan}, 5]\n",
        f'- dataset: {{id: "{ODD}"}}\n  metrics: [{{metric_id: accuracy, value: 0.5}}]\n',
        "- dataset: {id: d}\n  metrics: [{metric_id: accuracy, value: 0.5}]\n" * 900,
        f"- dataset: {{id: {'d' * 100_000}}}\n  metrics: [{{metric_id: acc, value: 0.5}}]\n",
        "- {value: 1, value: 2}\n",
    ],
    ids=[
        "bomb",
        "dashes",
        "brackets",
        "nan",
        "kinds",
        "no-number",
        "html",
        "many",
        "long",
        "twice",
    ],
)
def test_hostile_results(text):
    """Whatever a repository states, the kit is valid YAML with valid claims, and not many."""
    for given in (repository("[]", **{"x.yaml": text}), repository(text)):
        found = stated_claims(given)
        assert len(found.claims) <= 50
        assert len(found.left_out) < 10
        written = kit_text({"claims": found.claims}, found.comments)
        document, problems = read_document(written, "kit.yaml")
        assert problems == []
        assert document.data == {"claims": found.claims}
        assert yaml.safe_load(written) == {"claims": found.claims}
        names = [Claimed.model_validate_json(json.dumps(item)).name for item in found.claims]
        assert len(set(names)) == len(names)


def test_a_long_list_is_cut_and_said():
    """The rest of a long list is counted."""
    entry = "- dataset: {id: d}\n  metrics:\n"
    text = entry + "  - {metric_id: accuracy, value: 0.5}\n" * (MOST_RESULTS + 5)
    found = stated_claims(repository("[]", **{"x.yaml": text}))
    assert len(found.claims) == 50
    said = " ".join(item.sentence for item in found.left_out)
    assert "5 results: the repository states more than 2000" in said
    assert "and 1947 more: only the first 50 results become claims" in said


def test_a_card_that_is_too_large_is_said():
    """Its results are not read, and not forgotten."""
    found = stated_claims(repository(STS * 1000))
    assert found.claims == []
    assert [item.what for item in found.left_out] == ["model-index of README.md"]
