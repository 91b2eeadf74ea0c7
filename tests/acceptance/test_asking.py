"""Many questions are asked at once, in order, and an interrupted test goes on where it stopped."""

import fcntl
import json
import resource
import threading

import pytest
from fakes.answering_kit import answer_of, answering_kit, claim_of, file_of, lock_of

from mealkit.acceptance.answer_journal import AnswerJournal, Reply
from mealkit.acceptance.report import Verdict
from mealkit.acceptance.target import TestOptions
from mealkit.acceptance.testing import run_tests
from mealkit.errors import MealkitError, Owner
from mealkit.recipe.kit import Task

LABELS = claim_of(ask={"kind": "classification"}, metric="accuracy")


@pytest.fixture
def data(tmp_path):
    """Twenty texts whose first letter is their label."""
    path = tmp_path / "rows.jsonl"
    rows = [
        {"text": f"{'ab'[index % 2]}{index}", "expected": "ab"[index % 2]} for index in range(20)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def report_of(kit, data, **options):
    return run_tests(kit.lock, kit.target, {"rows/rows.jsonl": data}, TestOptions(**options))


def interrupted(kit, data, journals):
    """Answer ten rows and no more, so that the test ends."""

    def answer(path, body):
        if len(kit.asked) > 10:
            raise ConnectionError
        return answer_of(path, body)

    kit.answer = answer
    with pytest.raises(MealkitError) as raised:
        report_of(kit, data, journals=journals, concurrency=1)
    assert raised.value.problems[0].code == "TEST_UNREACHABLE"


@pytest.fixture
def kit(data):
    lock = lock_of(Task.CLASSIFICATION, [LABELS], files=[file_of(data, "rows/rows.jsonl")])
    with answering_kit(lock) as running:
        yield running


@pytest.mark.parametrize("concurrency", [1, 5])
def test_so_many_requests_are_asked_at_a_time(kit, data, concurrency):
    """All threads ask at once, never more, and each answer belongs to its row."""
    barrier = threading.Barrier(concurrency)

    def answer(path, body):
        if len(kit.asked) <= concurrency:
            barrier.wait(10)
        return answer_of(path, body)

    kit.answer = answer
    report = report_of(kit, data, concurrency=concurrency)
    assert kit.most_at_once == concurrency
    assert report.claims[0].measured == 1.0
    assert len(kit.asked) == 20


def test_an_unanswered_row_counts_as_wrong_and_names_its_problem(kit, data):
    """A row that the kit refuses is wrong; the report has the code, how often, and the owner."""
    problem = {"mealkit_code": "ENGINE_DIED", "message": "it died", "owner": "platform"}
    kit.answer = lambda path, body: (
        (500, {}, {"error": problem}) if body["input"] < "b" else answer_of(path, body)
    )
    [result] = report_of(kit, data).claims
    assert (result.verdict, result.measured) == (Verdict.FAILS, 0.5)
    assert (result.refused, result.problems) == (10, {"ENGINE_DIED": 10})
    assert result.owner is Owner.PLATFORM
    assert "it died" in result.samples[0].answered


def test_an_interrupted_test_goes_on_where_it_stopped(kit, data, tmp_path):
    """Answers are kept until the claim is judged; a half line of a killed process is ignored."""
    journals = tmp_path / "journals"

    interrupted(kit, data, journals)
    [journal] = journals.iterdir()
    journal.write_bytes(journal.read_bytes().rstrip(b"\n")[:-3])
    kit.answer, kit.asked = answer_of, []
    [result] = report_of(kit, data, journals=journals).claims
    assert (result.verdict, result.rows) == (Verdict.HOLDS, 20)
    assert len(kit.asked) == 20 - 9
    assert list(journals.iterdir()) == []


def test_a_claim_that_was_judged_is_not_asked_again_if_the_test_is_interrupted(kit, data, tmp_path):
    """The answers of all claims are kept until the report is made."""
    kit.lock = lock_of(
        Task.CLASSIFICATION,
        [LABELS, LABELS.model_copy(update={"name": "second"})],
        files=[file_of(data, "rows/rows.jsonl")],
    )
    journals = tmp_path / "journals"

    def answer(path, body):
        if len(kit.asked) > 30:
            raise ConnectionError
        return answer_of(path, body)

    kit.answer = answer
    with pytest.raises(MealkitError):
        report_of(kit, data, journals=journals, concurrency=1)
    kit.answer, kit.asked = answer_of, []
    report = report_of(kit, data, journals=journals)
    assert not report.failed
    assert len(kit.asked) == 10
    assert [note.partition(" answers")[0] for note in report.notes] == ["claim: 20", "second: 10"]
    assert list(journals.iterdir()) == []


def test_two_tests_at_once_do_not_share_answers(kit, data, tmp_path):
    """The second one asks everything itself, and leaves the file of the first one alone."""
    journals = tmp_path / "journals"
    interrupted(kit, data, journals)
    [path] = journals.iterdir()
    kit.answer, kit.asked = answer_of, []
    with path.open("rb") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        report = report_of(kit, data, journals=journals)
    assert len(kit.asked) == 20
    assert "another test of this kit runs at the moment" in report.notes[0]
    assert path.exists()


def test_a_folder_that_cannot_be_written_does_not_end_a_test(kit, data, tmp_path):
    """The report says that the answers are not kept."""
    (tmp_path / "journals").write_text("a file")
    report = report_of(kit, data, journals=tmp_path / "journals")
    assert not report.failed
    assert "answers are not kept for a later test: File exists" in report.notes[0]


def test_a_full_disk_ends_the_journal_and_not_the_test(tmp_path):
    """What was written before stays; a half line is not read."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with AnswerJournal(tmp_path, {}) as journal:
        journal.add(0, Reply("a"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            journal.add(1, Reply("b" * 200))
            journal.add(2, Reply("c"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert journal.fault == "No space left on device"
    with AnswerJournal(tmp_path, {}) as later:
        assert {row: reply.value for row, reply in later.replies.items()} == {0: "a"}


@pytest.mark.parametrize("change", ["recipe", "claim", "data"])
def test_answers_of_another_test_are_not_taken(kit, data, tmp_path, change):
    """What was kept belongs to a recipe, a claim and the bytes of its data."""
    journals = tmp_path / "journals"
    interrupted(kit, data, journals)
    kit.answer, kit.asked = answer_of, []
    if change == "recipe":
        kit.lock = kit.lock.model_copy(update={"mealkit_version": "9.9"})
        kit.recipe = str(kit.lock.recipe)
    elif change == "claim":
        kit.lock = kit.lock.model_copy(
            update={"claims": (LABELS.model_copy(update={"value": 0.9}),)}
        )
    else:
        data.write_text(data.read_text().replace("a0", "a!"))
        files = [file_of(data, "rows/rows.jsonl")]
        kit.lock = lock_of(Task.CLASSIFICATION, [LABELS], files=files)
    report_of(kit, data, journals=journals)
    assert len(kit.asked) == 20


def test_an_answer_of_another_recipe_ends_the_test(kit, data):
    """Replicas of several versions behind one address are not one kit."""
    other = "sha256:" + "1" * 64

    def answer(path, body):
        kit.recipe = other
        return answer_of(path, body)

    kit.answer = answer
    with pytest.raises(MealkitError) as raised:
        report_of(kit, data)
    assert raised.value.problems[0].code == "TEST_OTHER_RECIPE"
