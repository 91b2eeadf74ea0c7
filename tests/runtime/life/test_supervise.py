"""A worker that dies: ready goes off, every request is answered, restarts are counted."""

import os
import signal
from pathlib import Path


def test_killed_under_load(start, tmp_path, background):
    """SIGKILL under load: each running request gets a problem, ready is off, then on again."""
    kit = start().wait_ready()
    first = kit.worker_pid()
    never = tmp_path / "never"
    running = [background(kit.embed, f"wait:{never}") for _ in range(6)]
    kit.wait_for(lambda: "mealkit_requests_running 6.0" in kit.client.get("/metrics").text)
    os.kill(first, signal.SIGKILL)
    body = kit.wait_for(lambda: (r := kit.ready()).status_code == 503 and r.json())
    assert "SIGKILL" in body["reason"]
    assert (body["problem"]["code"], body["owner"]) == ("ENGINE_DIED", "kit-author")
    assert body["contact"]["team"] == "authors"
    for answer in running:
        error = answer.result().json()["error"]
        assert (answer.result().status_code, error["code"]) == (503, "ENGINE_DIED")
        assert "SIGKILL" in error["message"]
    kit.wait_ready()
    assert kit.worker_pid() != first
    assert kit.embed("hello").status_code == 200
    metrics = kit.client.get("/metrics").text
    assert "mealkit_worker_restarts_total 1.0" in metrics
    assert 'mealkit_failures_total{code="ENGINE_DIED",owner="kit-author"} 7.0' in metrics


def test_request_that_kills_the_worker(start):
    """A request that ends the engine is answered, and not tried again on the next worker."""
    kit = start().wait_ready()
    kit.embed("hello")
    answer = kit.embed("die")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ENGINE_DIED")
    (request,) = kit.wait_for(lambda: kit.events("request")[1:])
    (off,) = [event for event in kit.events("state") if event["problem"]][:1]
    assert kit.lines.index(off) < kit.lines.index(request)
    kit.wait_ready()
    assert len(kit.events("worker ended")) == 1
    assert "about to die" in kit.events("worker ended")[0]["tail"]


def test_gives_up(start, make_lock):
    """After the lock's number of restarts the container ends with a problem that says why."""
    kit = start(make_lock(serving={"restarts": 1})).wait_ready()
    assert kit.embed("die").status_code == 503
    kit.wait_ready()
    assert kit.embed("die").status_code == 503
    assert kit.wait_end() == 11
    last = kit.lines[-1]
    assert last["code"] == "ENGINE_GAVE_UP"
    assert "1 times" in last["message"]
    assert "SIGKILL" in last["message"]
    assert "about to die" in last["message"]
    assert last["contact"]["support"] == "9-5"


def test_worker_that_does_not_come_back(start, make_lock, tmp_path):
    """Restarts that fail while loading count too."""
    broken = tmp_path / "broken"
    lock = make_lock(serving={"restarts": 2}, settings={"load_dies_if": str(broken)})
    kit = start(lock).wait_ready()
    broken.touch()
    kit.embed("exit:3")
    assert kit.wait_end() == 11
    assert len(kit.events("worker started")) == 3
    assert kit.lines[-1]["code"] == "ENGINE_GAVE_UP"


def test_stop_between_restarts(start, make_lock, tmp_path):
    """SIGTERM while a restart waits ends the kit in peace."""
    kit = start(make_lock(serving={"restarts": 100})).wait_ready()
    os.kill(kit.worker_pid(), signal.SIGKILL)
    kit.wait_for(lambda: "restart 1 of 100" in kit.ready().json()["reason"])
    kit.process.terminate()
    assert kit.wait_end() == 0
    assert not Path(f"/proc/{kit.worker_pid()}").exists()
