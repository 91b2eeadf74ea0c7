"""The container half as real processes: start, failures of the start, stop."""

import json
import os
import signal
from pathlib import Path

import pytest
from runtime.conftest import failed

from mealkit.files.identity import FileKey
from mealkit.recipe.kit import Gpu

WEIGHTS_BYTES = 256 * 40_000


def test_becomes_ready_phase_by_phase(start):
    """Ready follows preflight, weights, load and one real request, and the log shows each."""
    kit = start().wait_ready()
    states = [event["status"] for event in kit.events("state")]
    assert states == ["preflight", "verifying", "loading", "warming", "ready"]
    body = kit.ready().json()
    assert body["status"] == "ready"
    assert body["problem"] is None
    assert set(body["phases"]) == {"preflight", "verifying", "loading", "warming"}


def test_live_and_not_ready_while_loading(start, make_lock, tmp_path):
    """While the engine loads, live is 200, ready is 503 with reason and times, requests get 503."""
    gate = tmp_path / "gate"
    kit = start(make_lock(settings={"load_waits_for": str(gate)}))
    body = kit.wait_status("loading")
    assert body["reason"] == "the engine loads; the weights are verified"
    assert body["elapsed_seconds"] >= body["phases"]["loading"] > 0
    assert body["owner"] is None
    for path in ("/v1/health/live", "/healthz"):
        answer = kit.client.get(path)
        assert (answer.status_code, answer.json()["status"]) == (200, "loading")
    for path in ("/v1/health/ready", "/readyz", "/health", "/ping"):
        answer = kit.client.get(path)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
    refused = kit.embed("hello")
    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    assert refused.json()["error"]["code"] == "NOT_READY"
    gate.touch()
    kit.wait_ready()
    for path in ("/v1/health/ready", "/readyz", "/health", "/ping"):
        assert kit.client.get(path).status_code == 200


def test_not_ready_before_weights_are_verified(start):
    """A worker that has loaded is killed, and the kit never ready, if one weight byte is wrong."""

    def flip(root: Path) -> None:
        weights = root / "models" / "model.bin"
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)

    kit = start(change=flip)
    problem = failed(kit, "WEIGHTS_MISMATCH", 11)
    assert problem["owner"] == "platform"
    assert problem["where"].endswith("models/model.bin")
    assert problem["message"].count("sha256:") == 2
    assert "contact" not in problem
    assert "ready" not in [event["status"] for event in kit.events("state")]
    assert not Path(f"/proc/{kit.worker_pid()}").exists()


def test_weights_that_the_host_has_hashed_are_hashed_while_requests_are_answered(start, make_lock):
    """The kit is ready before; when the bytes turn out to be wrong, it stops answering."""
    environment: dict[str, str] = {}

    def vouch(root: Path) -> None:
        weights = root / "models" / "model.bin"
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        key = FileKey.of(weights).as_json()
        locked = next(item for item in make_lock().model.files if item.path == "model.bin")
        environment["MEALKIT_VERIFIED"] = json.dumps({str(locked.sha256): key})

    kit = start(change=vouch, environment=environment)
    failed(kit, "WEIGHTS_MISMATCH", 11)
    assert "ready" in [event["status"] for event in kit.events("state")]


def test_missing_and_short_weights(start):
    """A file that is not there is a problem of its own; one that was cut is a mismatch."""
    kit = start(change=lambda root: (root / "models" / "model.bin").unlink())
    failed(kit, "WEIGHTS_MISSING", 11)
    kit = start(change=lambda root: (root / "models" / "model.bin").write_bytes(b"short"))
    problem = failed(kit, "WEIGHTS_MISMATCH", 11)
    assert f"5 bytes, the lock expects {WEIGHTS_BYTES}" in problem["message"]


def test_wrong_weights_win_over_an_engine_that_choked_on_them(start, make_lock):
    """When both fail, the weights' problem is reported: it is the cause."""
    kit = start(
        make_lock(settings={"load_fails": "no tensor"}),
        change=lambda root: (root / "models" / "model.bin").write_bytes(bytes(WEIGHTS_BYTES)),
    )
    failed(kit, "WEIGHTS_MISMATCH", 11)


def test_problem_that_the_worker_names(start, make_lock):
    """A worker's own problem is the one that is reported, unchanged."""
    kit = start(make_lock(settings={"load_fails": "no tensor called x"}))
    problem = failed(kit, "WEIGHTS_MISSING", 11)
    assert (problem["message"], problem["where"]) == ("no tensor called x", "here")


def test_worker_killed_while_loading(start, make_lock):
    """A worker that a signal kills while it loads: the signal, its log, the kit's contact."""
    kit = start(make_lock(settings={"load_dies": True}))
    problem = failed(kit, "ENGINE_START", 11)
    assert "SIGKILL while it loaded" in problem["message"]
    assert "cannot allocate memory" in problem["message"]
    assert problem["owner"] == "kit-author"
    assert problem["contact"]["contact"] == "mailto:authors@example.invalid"


def test_first_answer_that_cannot_be_used(start, make_lock):
    """A worker that says it is healthy but answers badly never becomes ready."""
    kit = start(make_lock(settings={"answers_badly": True}))
    failed(kit, "ENGINE_ANSWER", 11)


def test_worker_that_cannot_be_imported(start, make_lock):
    """A worker that is not in the image is the author's problem."""
    kit = start(make_lock(worker="no_such_module:Worker"))
    assert "no_such_module" in failed(kit, "ENGINE_START", 11)["message"]


def test_gpu_required_but_absent(start, make_lock):
    """Preflight ends the start before the engine is started."""
    if list(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("this machine has a GPU")
    kit = start(make_lock(gpu=Gpu.REQUIRED))
    problem = failed(kit, "HW_NO_GPU", 10)
    assert problem["owner"] == "hardware"
    assert (problem["measured"], problem["required"]) == ("none", "a GPU")
    assert not kit.events("worker started")


def test_lock_that_cannot_be_used(start):
    """A lock that is missing, or edited by hand, ends the start."""
    failed(start(change=lambda root: (root / "etc" / "kit.lock").unlink()), "LOCK_MISSING", 4)

    def edit(root: Path) -> None:
        lock = root / "etc" / "kit.lock"
        lock.write_text(lock.read_text().replace('"max_length": 16', '"max_length": 17'))

    failed(start(change=edit), "LOCK_INVALID", 4)

    def nest(root: Path) -> None:
        (root / "etc" / "kit.lock").write_text("[" * 100_000)

    failed(start(change=nest), "LOCK_INVALID", 4)


def test_state_folder_that_cannot_be_made(start):
    """A state folder that cannot be written to is named, with what to mount."""
    kit = start(change=lambda root: (root / "state").write_text("a file"))
    problem = failed(kit, "DISK_DENIED", 6)
    assert problem["where"].endswith("/state")
    assert "docker run --tmpfs" in problem["hint"]


def test_stop_while_loading(start, make_lock, tmp_path):
    """SIGTERM during the start ends both processes, with exit code 0."""
    kit = start(make_lock(settings={"load_waits_for": str(tmp_path / "never")}))
    kit.wait_status("loading")
    kit.process.terminate()
    assert kit.wait_end() == 0
    assert not Path(f"/proc/{kit.worker_pid()}").exists()


def test_stop_at_once_when_asked_twice(start, make_lock, tmp_path, background):
    """A second signal ends a drain that would take long."""
    kit = start(make_lock(serving={"drain_seconds": 3600})).wait_ready()
    worker = kit.worker_pid()
    background(kit.embed, f"wait:{tmp_path / 'never'}")
    kit.wait_for(lambda: "mealkit_requests_running 1.0" in kit.client.get("/metrics").text)
    kit.process.terminate()
    kit.wait_status("draining")
    kit.process.send_signal(signal.SIGTERM)
    assert kit.wait_end() == 128 + signal.SIGTERM
    kit.wait_for(lambda: not Path(f"/proc/{worker}").exists())


def test_drain(start, tmp_path, background):
    """SIGTERM: ready goes off, new requests are refused, the running one gets its answer."""
    gate = tmp_path / "gate"
    kit = start().wait_ready()
    slow = background(kit.embed, f"wait:{gate}")
    kit.wait_for(lambda: "mealkit_requests_running 1.0" in kit.client.get("/metrics").text)
    kit.process.terminate()
    body = kit.wait_status("draining")
    assert "running requests have 20 s" in body["reason"]
    refused = kit.embed("hello")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "DRAINING")
    assert refused.headers["Connection"] == "close"
    gate.touch()
    assert slow.result().status_code == 200
    assert kit.wait_end() == 0
    assert not [line for line in kit.lines if "event" not in line]
    assert kit.events("worker stopped")[0]["how"] == "exit code 0"


def test_requests_while_load_balancers_do_not_know_yet(start, make_lock, tmp_path, background):
    """SIGTERM: ready goes off, new requests are answered on connections that close, then it drains.

    A second signal ends that time; requests that run then still get their answers.
    """
    gate = tmp_path / "gate"
    kit = start(make_lock(serving={"lame_duck_seconds": 3600})).wait_ready()
    before = kit.connected()
    kit.process.terminate()
    body = kit.wait_status("lame-duck")
    assert kit.ready().status_code == 503
    assert "new requests are answered for 3600 s" in body["reason"]
    for _ in range(2):
        answer = kit.embed("hello")
        assert (answer.status_code, answer.headers["Connection"]) == (200, "close")
    request = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with before:
        before.sendall(request)
        assert before.recv(4096).startswith(b"HTTP/1.1 200")
    slow = background(kit.embed, f"wait:{gate}")
    kit.wait_for(lambda: "mealkit_requests_running 1.0" in kit.client.get("/metrics").text)
    kit.process.terminate()
    kit.wait_status("draining")
    assert kit.embed("hello").json()["error"]["code"] == "DRAINING"
    gate.touch()
    assert slow.result().status_code == 200
    assert kit.wait_end() == 0


def test_lame_duck_ends_after_its_time(start, make_lock):
    """After its seconds the drain begins without a second signal."""
    kit = start(make_lock(serving={"lame_duck_seconds": 1})).wait_ready()
    kit.process.terminate()
    assert kit.wait_end() == 0
    states = [line["status"] for line in kit.events("state")]
    assert states[-3:] == ["ready", "lame-duck", "draining"]


def test_engine_that_ends_while_its_kit_is_a_lame_duck(start, make_lock):
    """A kit that stops does not restart its engine: it drains, and ends well."""
    kit = start(make_lock(serving={"lame_duck_seconds": 3600})).wait_ready()
    kit.process.terminate()
    kit.wait_status("lame-duck")
    os.kill(kit.worker_pid(), signal.SIGKILL)
    assert kit.wait_end() == 0
    assert len(kit.events("worker started")) == 1


def test_interrupt_drains_at_once(start, make_lock):
    """SIGINT, from Ctrl-C or `mealkit stop`: no load balancer is waited for."""
    kit = start(make_lock(serving={"lame_duck_seconds": 3600})).wait_ready()
    kit.process.send_signal(signal.SIGINT)
    assert kit.wait_end() == 0
    assert "lame-duck" not in [line["status"] for line in kit.events("state")]


def test_drain_that_takes_too_long(start, make_lock, tmp_path, background):
    """A request that outlives the drain gets an answer too: the kit was stopped."""
    kit = start(make_lock(serving={"drain_seconds": 0})).wait_ready()
    slow = background(kit.embed, f"wait:{tmp_path / 'never'}")
    kit.wait_for(lambda: "mealkit_requests_running 1.0" in kit.client.get("/metrics").text)
    kit.process.terminate()
    answer = slow.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "DRAINING")
    assert kit.wait_end() == 0


def test_worker_ends_with_the_gateway(start):
    """A gateway that is killed takes its worker with it."""
    kit = start().wait_ready()
    worker = Path(f"/proc/{kit.worker_pid()}")
    kit.process.kill()
    kit.wait_end()
    kit.wait_for(lambda: not worker.exists())


def test_environment_of_the_worker(start):
    """The worker sees the lock's variables, and nothing of the gateway's own."""
    kit = start().wait_ready()
    names = kit.embed("environment").json()["error"]["message"].split()
    assert "TELEMETRY" in names
    assert not [name for name in names if "SECRET" in name or name.startswith("MEALKIT")]
