"""An engine that hangs while it gets no requests is found, named and restarted."""

import os
import signal

HURRY = {"canary_seconds": 1, "timeout_seconds": 1}


def test_idle_engine_that_freezes(start, make_lock):
    """Ready goes off with the cause, the worker is killed and started again, and ready is on."""
    kit = start(make_lock(serving=HURRY)).wait_ready()
    first = kit.worker_pid()
    kit.wait_for(lambda: kit.gauge('mealkit_canaries_total{result="ok"}'))
    os.kill(first, signal.SIGSTOP)
    (moved,) = kit.wait_for(
        lambda: [e for e in kit.events("state") if e["problem"] and e["status"] == "loading"][:1]
    )
    assert (moved["problem"]["code"], moved["owner"]) == ("ENGINE_HUNG", "kit-author")
    assert "it does not answer" in moved["reason"]
    assert "seconds" in moved["problem"]["measured"]
    kit.wait_ready()
    assert kit.worker_pid() != first
    assert kit.embed("hello").status_code == 200
    metrics = kit.client.get("/metrics").text
    assert 'mealkit_failures_total{code="ENGINE_HUNG",owner="kit-author"} 1.0' in metrics
    assert "mealkit_worker_restarts_total 1.0" in metrics
    assert 'mealkit_canaries_total{result="failed"} 1.0' in metrics


def test_gives_up_on_an_engine_that_hangs(start, make_lock):
    """Hanging uses up the restarts as dying does, and the container ends with the cause."""
    kit = start(make_lock(serving=HURRY | {"restarts": 0})).wait_ready()
    os.kill(kit.worker_pid(), signal.SIGSTOP)
    assert kit.wait_end() == 11
    assert kit.lines[-1]["code"] == "ENGINE_HUNG"


def test_slow_answer_is_no_hang(start, make_lock, tmp_path, background):
    """A request that takes too long gets its 504; the engine that still answers others lives."""
    kit = start(make_lock(serving=HURRY)).wait_ready()
    first = kit.worker_pid()
    answers = [background(kit.embed, f"wait:{tmp_path / 'never'}") for _ in range(3)]
    assert {answer.result().status_code for answer in answers} == {504}
    sung = 'mealkit_canaries_total{result="ok"} 2.0'
    kit.wait_for(lambda: sung in kit.client.get("/metrics").text)
    assert kit.worker_pid() == first


def test_load_without_end(start, make_lock, tmp_path):
    """An engine that never loads ends the start with the time limit, and the end of its log."""
    settings = {"load_waits_for": str(tmp_path / "never"), "load_says": "one of nine shards"}
    kit = start(make_lock(serving={"start_seconds": 1}, settings=settings))
    assert kit.wait_end() == 11
    assert kit.lines[-1]["code"] == "ENGINE_START"
    assert "has not loaded within 1 seconds" in kit.lines[-1]["message"]
    assert "serving.start_seconds" in kit.lines[-1]["hint"]
