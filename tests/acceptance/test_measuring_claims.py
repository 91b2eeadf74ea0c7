"""Claims of every kind are asked, with seeds, slices, limits, corpora, streams and speed."""

import json

import pytest
from fakes.answering_kit import answer_of, answering_kit, claim_of, file_of, lock_of

from mealkit.acceptance.report import Verdict
from mealkit.acceptance.target import Memory, Target, TestOptions
from mealkit.acceptance.testing import run_tests
from mealkit.errors import MealkitError, Owner
from mealkit.recipe.kit import Task

GENERATION = {"kind": "generation", "text": "text"}


@pytest.fixture
def ask(tmp_path):
    """Test claims on rows, with a kit that answers by rules of its own; return results and kit."""

    def run(task, claims, rows, answer=answer_of, corpus=(), options=None, **target):
        files, datasets = [], {}
        for name, content in (("rows", rows), ("corpus", corpus)):
            if content:
                path = tmp_path / f"{name}.jsonl"
                path.write_text("".join(json.dumps(row) + "\n" for row in content))
                files.append(file_of(path, f"{name}/{name}.jsonl"))
                datasets[files[-1].path] = path
        lock = lock_of(task, claims, files=files)
        with answering_kit(lock) as kit:
            kit.answer = answer
            running = Target(kit.address, **target)
            report = run_tests(lock, running, datasets, options or TestOptions())
            return report.claims, kit

    return run


def test_retrieval_ranks_the_corpus_for_each_query(ask):
    """Documents are asked in batches, and ranked by the cosine with the query's vector."""
    corpus = [{"id": index, "text": text} for index, text in enumerate(["aaa", "bbb", "ccc"])]
    rows = [{"q": "aab", "expected": 0}, {"q": "cc", "expected": [2]}, {"q": "c", "expected": "1"}]
    claim = claim_of(
        ask={"kind": "retrieval", "query": "q", "corpus": "corpus"}, metric="recall@1", value=2 / 3
    )
    [result], kit = ask(Task.EMBEDDINGS, [claim], rows, corpus=corpus)
    assert result.measured == pytest.approx(2 / 3)
    assert kit.asked[0][1]["input"] == ["aaa", "bbb", "ccc"]
    assert [sample.row for sample in result.samples] == [3]


def test_a_corpus_that_the_kit_refuses_fails_the_claim(ask):
    """The reason names the documents and the kit's problem."""
    claim = claim_of(ask={"kind": "retrieval", "query": "q", "corpus": "corpus"}, metric="mrr")
    refusal = {"error": {"mealkit_code": "REQUEST_TOO_LONG", "message": "too long"}}
    [result], _ = ask(
        Task.EMBEDDINGS,
        [claim],
        [{"q": "a", "expected": 0}],
        lambda *_: (400, {}, refusal),
        [{"id": 0, "text": "a"}],
    )
    assert result.verdict is Verdict.FAILS
    assert "corpus/corpus.jsonl:1" in result.reason
    assert "too long" in result.reason


def test_reranking_scores_positions(ask):
    """The right answer is the position, or the positions, of the relevant documents."""
    rows = [{"q": "a", "documents": ["b", "aa", "a"], "expected": position} for position in (1, 2)]
    claim = claim_of(
        ask={"kind": "reranking", "query": "q", "documents": "documents"}, metric="mrr", value=0.75
    )
    [result], _ = ask(Task.RERANKING, [claim], rows)
    assert (result.measured, result.verdict) == (0.75, Verdict.HOLDS)


def test_each_seed_is_asked_and_the_mean_is_judged(ask):
    """The result with each seed is the spread."""
    claim = claim_of(ask=GENERATION, metric="exact_match", seeds=[1, 2], value=0.5)
    rows = [{"text": "a", "expected": "A1"}, {"text": "b", "expected": "B1"}]
    [result], kit = ask(Task.GENERATION, [claim], rows)
    assert result.spread == (1.0, 0.0)
    assert (result.measured, result.verdict) == (0.5, Verdict.HOLDS)
    assert sorted(body["seed"] for _, body in kit.asked) == [1, 1, 2, 2]


def test_a_limit_measures_and_does_not_judge(ask):
    """A part of the data shows something, and decides nothing."""
    claim = claim_of(ask={"kind": "classification"}, metric="accuracy")
    rows = [{"text": "a", "expected": "a"}] * 3
    [result], kit = ask(Task.CLASSIFICATION, [claim], rows, options=TestOptions(limit=2))
    assert (result.verdict, result.measured, result.rows) == (Verdict.NOT_JUDGED, 1.0, 2)
    assert len(kit.asked) == 2


def test_slices_are_the_largest_groups(ask):
    """A column's values divide the rows, each with its own value."""
    claim = claim_of(ask={"kind": "classification"}, metric="accuracy", slices=["kind"], value=0.75)
    rows = [{"text": "a", "expected": "a", "kind": 1}] * 3
    [result], _ = ask(Task.CLASSIFICATION, [claim], [*rows, {"text": "a", "expected": "b"}])
    assert [(item.value, item.rows, item.measured) for item in result.slices] == [
        ("1", 3, 1.0),
        ("null", 1, 0.0),
    ]


@pytest.mark.parametrize("metric", ["mae", "spearman"])
def test_a_number_that_is_missing_fails_a_claim_of_numbers(ask, metric):
    """No number stands for a missing one, so the claim fails, and the reason says why."""
    claim = claim_of(ask={"kind": "prediction", "at": "/count"}, metric=metric)
    rows = [{"text": "a", "expected": 1.5}, {"text": "b", "expected": 2}]

    def answer(path, body):
        found = answer_of(path, body)
        return {"output": {}} if body["input"]["text"] == "b" else found

    [result], _ = ask(Task.PREDICTION, [claim], rows, answer)
    assert result.verdict is Verdict.FAILS
    assert result.refused == 1
    assert "the output has no /count" in result.reason


def test_a_correlation_of_equal_answers_is_not_defined(ask):
    """The claim fails with that reason, and has no measured value."""
    claim = claim_of(ask={"kind": "prediction", "at": "/count"}, metric="pearson")
    [result], _ = ask(
        Task.PREDICTION, [claim], [{"text": "a", "expected": number} for number in (1, 2)]
    )
    assert (result.verdict, result.measured) == (Verdict.FAILS, None)
    assert "not defined" in result.reason


def test_too_few_rows_for_a_metric_are_not_judged_with_a_limit(ask):
    """One row of several has no correlation, and that says nothing about the claim."""
    claim = claim_of(ask={"kind": "prediction", "at": "/count"}, metric="spearman")
    rows = [{"text": "a", "expected": number} for number in (1, 2)]
    [result], _ = ask(Task.PREDICTION, [claim], rows, options=TestOptions(limit=1))
    assert (result.verdict, result.measured) == (Verdict.NOT_JUDGED, None)
    assert "only 1 row of the data was asked" in result.reason


REFUSAL = (500, {}, {"error": {"code": "X", "message": "it died", "owner": "platform"}})


def test_a_claim_of_which_no_row_is_answered_fails(ask):
    """Also if the tolerance accepts the value of nothing but wrong answers."""
    claim = claim_of(
        ask={"kind": "classification"}, metric="accuracy", value=0.1, tolerance={"absolute": 0.1}
    )
    [result], _ = ask(
        Task.CLASSIFICATION, [claim], [{"text": "a", "expected": "a"}] * 2, lambda *_: REFUSAL
    )
    assert (result.verdict, result.measured, result.interval) == (Verdict.FAILS, None, None)
    assert "2 of 2 rows have no answer to measure: HTTP 500: it died" in result.reason
    assert result.owner is Owner.PLATFORM


def test_a_claim_that_holds_says_which_rows_were_not_answered(ask):
    """They count as wrong, and the reader is told."""
    claim = claim_of(ask={"kind": "classification"}, metric="accuracy", value=0.5)
    rows = [{"text": text, "expected": text} for text in "ab"]

    def answer(path, body):
        return REFUSAL if body["input"] == "b" else answer_of(path, body)

    [result], _ = ask(Task.CLASSIFICATION, [claim], rows, answer)
    assert (result.verdict, result.owner) == (Verdict.HOLDS, None)
    assert "1 of 2 rows were not answered, and count as wrong" in result.reason


HUGE = 10**400
RERANKED = ({"kind": "reranking", "query": "q", "documents": "d"}, "mrr")
RETRIEVED = ({"kind": "retrieval", "query": "q", "corpus": "corpus"}, "mrr")


@pytest.mark.parametrize(
    ("task", "ask_and_metric", "answer"),
    [
        (Task.RERANKING, RERANKED, {"results": 5}),
        (Task.RERANKING, RERANKED, {"results": [{"index": 0, "relevance_score": HUGE}] * 2}),
        (Task.EMBEDDINGS, RETRIEVED, {"data": [{"embedding": [1]}, {"embedding": [1, 2]}]}),
        (Task.EMBEDDINGS, RETRIEVED, {"data": [{"embedding": [1]}]}),
        (Task.PREDICTION, ({"kind": "prediction"}, "json_equal"), {"output": HUGE}),
    ],
)
def test_an_answer_of_another_form_fails_the_claim(ask, task, ask_and_metric, answer):
    """Whatever a kit answers, it is a result, and the test goes on."""
    form, metric = ask_and_metric
    rows = [{"q": "a", "d": ["a", "b"], "expected": 0.0 if task is Task.PREDICTION else 0}]
    corpus = [{"id": 0, "text": "a"}, {"id": 1, "text": "b"}] if metric == "mrr" else ()
    corpus = corpus if task is Task.EMBEDDINGS else ()
    [result], _ = ask(task, [claim_of(ask=form, metric=metric)], rows, lambda *_: answer, corpus)
    assert (result.verdict, result.owner) == (Verdict.FAILS, Owner.KIT_AUTHOR)


def test_a_query_whose_vector_has_another_length_is_not_answered(ask):
    """It cannot be compared with the documents."""

    def answer(_path, body):
        numbers = [1.0] if isinstance(body["input"], list) else [1.0, 2.0]
        return {"data": [{"embedding": numbers}]}

    claim = claim_of(ask=RETRIEVED[0], metric="mrr")
    rows, corpus = [{"q": "a", "expected": 0}], [{"id": 0, "text": "a"}]
    [result], _ = ask(Task.EMBEDDINGS, [claim], rows, answer, corpus)
    assert result.problems == {"ENGINE_ANSWER": 1}
    assert "the vector has 2 numbers, the documents' have 1" in result.reason


@pytest.mark.parametrize("choice", [1, {"delta": 5}])
def test_events_of_another_form_are_no_tokens(ask, choice):
    """A stream without a token has no first one."""
    events = f"data: {json.dumps({'choices': [choice]})}\n\ndata: [DONE]\n\n".encode()
    claim = claim_of(ask=GENERATION, metric="first_token_p50_seconds", value=5)
    [result], _ = ask(
        Task.GENERATION,
        [claim],
        [{"text": "a"}],
        lambda *_: (200, {"Content-Type": "text/event-stream"}, events),
    )
    assert (result.verdict, result.measured) == (Verdict.NOT_JUDGED, None)


def streamed(_path, body):
    """Two pieces of text, and the chunk with the usage; the kit got what asks for them."""
    assert body["stream_options"] == {"include_usage": True}
    events = [
        {"choices": [{"delta": {"role": "assistant"}}]},
        {"choices": [{"delta": {"content": "A"}}]},
        {"choices": [], "usage": {"completion_tokens": 7}},
    ]
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return 200, {"Content-Type": "text/event-stream"}, data.encode()


def test_the_first_token_is_that_of_a_stream(ask):
    """Only a piece with text is a token; the first request of all is not measured."""
    claim = claim_of(
        ask=GENERATION, metric="first_token_p50_seconds", value=5, tolerance={"maximum": 5}
    )
    [result], kit = ask(Task.GENERATION, [claim], [{"text": "a"}] * 3, streamed)
    assert result.verdict is Verdict.HOLDS
    assert 0 < result.measured < 5
    assert len(kit.asked) == 4
    assert result.latencies.requests == 3
    assert sum(count for _, count in result.latencies.histogram) == 3


def test_a_stream_that_ends_with_an_error_fails_a_claim_of_speed(ask):
    """A speed of answers that did not come is none."""
    claim = claim_of(
        ask=GENERATION, metric="first_token_p95_seconds", value=5, tolerance={"maximum": 5}
    )
    ending = b'data: {"error": {"message": "died"}}\n\n'
    [result], _ = ask(
        Task.GENERATION,
        [claim],
        [{"text": "a"}],
        lambda *_: (200, {"Content-Type": "text/event-stream"}, ending),
    )
    assert (result.verdict, result.refused) == (Verdict.FAILS, 1)


def test_speed_and_memory_are_those_of_the_kit(ask):
    """Tokens come from usage; start and peaks from what is known about the container."""
    speeds = ("tokens_per_second", "texts_per_second", "latency_p99_seconds")
    claims = [
        claim_of(
            name=name.replace("_", "-"),
            ask=GENERATION,
            metric=name,
            value=1,
            tolerance={"minimum": 1} if "per" in name else {"maximum": 5},
            concurrency=2,
        )
        for name in speeds
    ]
    whole = {"data": None, "tolerance": {"maximum": 10}, "value": 1}
    claims += [
        claim_of(name="start", metric="start_seconds", **whole),
        claim_of(name="memory", metric="peak_memory_bytes", **whole),
        claim_of(name="gpu", metric="peak_gpu_memory_bytes", **whole),
        claim_of(name="stated", data=None, metric="accuracy"),
    ]
    results, _ = ask(
        Task.GENERATION,
        claims,
        [{"text": "abc"}] * 4,
        start_seconds=3.0,
        memory=lambda: Memory(host_bytes=11),
    )
    verdicts = {result.claim.name: result.verdict for result in results}
    assert [verdicts[name.replace("_", "-")] for name in speeds] == [Verdict.HOLDS] * 3
    assert (verdicts["start"], verdicts["memory"]) == (Verdict.HOLDS, Verdict.FAILS)
    assert (verdicts["gpu"], verdicts["stated"]) == (Verdict.NOT_JUDGED,) * 2
    assert results[0].measured == pytest.approx(3 * results[1].measured, rel=0.5)


@pytest.mark.parametrize(
    ("rows", "claim", "code"),
    [
        ([{"a": "a", "expected": 1}], {}, "TEST_DATA_INVALID"),
        ([{"a": "a", "b": 1, "expected": 1}], {}, "TEST_DATA_INVALID"),
        ([{"a": "a", "b": "b"}], {}, "TEST_DATA_INVALID"),
        ([{"a": "a", "b": "b", "expected": 1}], {"data": "other"}, "TEST_DATA_INVALID"),
        ([{"a": "a", "b": "b", "expected": "x"}], {}, "TEST_DATA_INVALID"),
    ],
)
def test_data_that_does_not_fit_the_claim_is_a_problem(ask, rows, claim, code):
    """A missing column, a value of another type, and an unknown file end the test."""
    with pytest.raises(MealkitError) as raised:
        ask(Task.EMBEDDINGS, [claim_of(**claim)], rows)
    assert raised.value.problems[0].code == code


def test_data_that_is_not_here_or_not_the_pinned_one(tmp_path):
    """The first is not judged, the second is a problem."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "a", "b": "a", "expected": 1}\n')
    lock = lock_of(Task.EMBEDDINGS, [claim_of()], files=[file_of(path, "rows/rows.jsonl")])
    with answering_kit(lock) as kit:
        [result] = run_tests(lock, kit.target, {}, TestOptions()).claims
        assert result.verdict is Verdict.NOT_JUDGED
        path.write_text('{"a": "a", "b": "a", "expected": 2}\n')
        with pytest.raises(MealkitError) as raised:
            run_tests(lock, kit.target, {"rows/rows.jsonl": path}, TestOptions())
    assert raised.value.problems[0].code == "TEST_DATA_DIFFERS"
