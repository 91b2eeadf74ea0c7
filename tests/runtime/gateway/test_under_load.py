"""Under load, whatever happens to the worker: every caller gets an answer or an error, in numbers."""

import json
import os
import re
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from mealkit.runtime.gateway.keys import new_key

CALLERS = 20
HUNG_SECONDS = 1


@pytest.fixture
def load(start, make_api_lock):
    """Start a kit of the stand-in server, and callers who ask for chats until they are stopped."""

    def begin(**serving):
        limits = {"max_concurrency": 8, "max_queue": 64, "drain_seconds": 5, **serving}
        kit = start(make_api_lock(serving=limits)).wait_ready()
        return kit, Load(kit)

    return begin


class Load:
    """Twenty callers, every other one of a stream; their answers, sorted by how they ended."""

    def __init__(self, kit):
        self.kit = kit
        self.ends = Counter()
        self.codes = set()
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._pool = ThreadPoolExecutor(CALLERS)
        self._callers = [self._pool.submit(self._call, number) for number in range(CALLERS)]

    def wait_running(self):
        self.kit.wait_for(lambda: self.ends["done"] > 2 * CALLERS)
        return self

    def finish(self):
        """Stop the callers, and wait for the last answer of each."""
        self._stop.set()
        for caller in self._callers:
            caller.result()
        self._pool.shutdown()

    def _call(self, number):
        with httpx2.Client(base_url=self.kit.client.base_url, timeout=30) as client:
            while not self._stop.is_set():
                end, code = self._ask(client, stream=number % 2 == 0)
                with self._guard:
                    self.ends[end] += 1
                    self.codes |= {code} if code else set()
                if end in {"refused connection", "error"}:
                    self._stop.wait(0.01)

    def _ask(self, client, *, stream):
        body = {
            "model": "stand-in",
            "messages": [{"role": "user", "content": "slow:5:0.004"}],
            "stream": stream,
        }
        try:
            with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                data = answer.read().decode()
        except (httpx2.ConnectError, httpx2.ReadError, httpx2.RemoteProtocolError) as error:
            # Not a byte of an answer, so the request was not taken: the next server gets it.
            if "without sending complete message body" in str(error):
                raise
            return "refused connection", None
        if answer.status_code != 200:
            assert answer.status_code == 504 or answer.headers["Retry-After"]
            return "error", json.loads(data)["error"]["code"]
        if not stream:
            return ("done" if json.loads(data)["choices"] else "cut"), None
        *_, last = [line for line in data.split("\n\n") if line]
        if last == "data: [DONE]":
            return "done", None
        form = json.loads(last.removeprefix("data: "))
        return ("error event", form["error"]["code"]) if "error" in form else ("cut", None)


def answered(kit):
    """How many chats the kit counted, and wrote a log line for."""
    text = kit.client.get("/metrics").text
    counts = re.findall(r'mealkit_requests_total\{route="/v1/chat/completions".*\} (\S+)', text)
    return sum(float(count) for count in counts)


@pytest.mark.parametrize("mishap", [signal.SIGKILL, signal.SIGSTOP])
def test_worker_that_dies_or_freezes(load, mishap):
    """Each request ends with an answer or an error; the kit comes back; the counts add up."""
    kit, callers = load(timeout_seconds=HUNG_SECONDS, canary_seconds=1)
    callers.wait_running()
    first = kit.worker_pid()
    os.kill(first, mishap)
    kit.wait_for(lambda: kit.events("worker started")[-1]["pid"] != first)
    before = callers.ends["done"]
    kit.wait_for(lambda: callers.ends["done"] > before + 2 * CALLERS)
    callers.finish()
    assert callers.ends["cut"] == callers.ends["refused connection"] == 0
    code = "ENGINE_DIED" if mishap is signal.SIGKILL else "ENGINE_HUNG"
    assert code in callers.codes | {event["code"] for event in kit.events("worker ended")}
    assert callers.codes <= {code, "NOT_READY", "REQUEST_TIMEOUT", "ENGINE_DIED"}
    assert answered(kit) == callers.ends.total()
    assert len(kit.events("request")) == callers.ends.total()
    metrics = kit.client.get("/metrics").text
    for line in ("mealkit_requests_running 0.0", "mealkit_requests_waiting 0.0"):
        assert line in metrics


def test_a_key_that_keeps_the_queue_full(start, make_api_lock, tmp_path):
    """Another key's requests are all answered; of the greedy key's, the newest are refused."""
    gate = tmp_path / "gate"
    (greedy, greedy_hash), (modest, modest_hash) = new_key("greedy"), new_key("modest")
    lock = make_api_lock(serving={"max_concurrency": 1, "max_queue": 4})
    lines = f"{greedy_hash.line}\n{modest_hash.line}"
    kit = start(lock, environment={"MEALKIT_KEYS": lines}).wait_ready()

    def ask(key, text):
        body = {"model": "stand-in", "messages": [{"role": "user", "content": text}]}
        told = {"Authorization": f"Bearer {key}"}
        return kit.client.post("/v1/chat/completions", json=body, headers=told).status_code

    with ThreadPoolExecutor(CALLERS) as pool:
        first = pool.submit(ask, greedy, f"wait:{gate}")
        kit.wait_for(lambda: kit.gauge("mealkit_requests_running") == 1)
        flood = [pool.submit(ask, greedy, "slow:1:0.01") for _ in range(12)]
        kit.wait_for(lambda: sum(call.done() for call in flood) == 8)
        others = [pool.submit(ask, modest, "slow:1:0.01") for _ in range(2)]
        kit.wait_for(lambda: sum(call.done() for call in flood) == 10)
        gate.touch()
        assert [call.result() for call in others] == [200, 200]
        assert first.result() == 200
        assert Counter(call.result() for call in flood) == {429: 10, 200: 2}


def test_container_that_is_stopped(load):
    """SIGTERM: what runs or waits is answered whole, what comes later is refused, nothing is cut."""
    kit, callers = load()
    callers.wait_running()
    kit.process.terminate()
    assert kit.wait_end() == 0
    callers.finish()
    assert callers.ends["cut"] == callers.ends["error event"] == 0
    assert callers.codes <= {"DRAINING"}
    assert len(kit.events("request")) == callers.ends.total() - callers.ends["refused connection"]


def test_stop_while_frozen(load, background):
    """A worker that is frozen when the kit stops blocks no caller: all get an answer."""
    kit, callers = load(drain_seconds=1, canary_seconds=0)
    callers.wait_running()
    os.kill(kit.worker_pid(), signal.SIGSTOP)
    kit.process.terminate()
    assert kit.wait_end() == 0
    callers.finish()
    assert callers.ends["cut"] == 0
    assert callers.codes == {"DRAINING"}
    assert callers.ends["error event"] + callers.ends["error"] >= 8
    assert len(kit.events("request")) == callers.ends.total() - callers.ends["refused connection"]
