"""``docker stop`` while twenty callers ask: each request has an answer, or was never taken."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from fakes.served import ended_of, published, wait_ready

pytestmark = [pytest.mark.docker, pytest.mark.online, pytest.mark.xdist_group("demo")]

CALLERS = 20


def test_docker_stop_loses_no_request(demo_tag, started):
    """Every answer is a vector or DRAINING; the log has a line for each; the exit code is 0."""
    container = started(demo_tag, ports={"8000/tcp": ("127.0.0.1", 0)})
    url = published(container)
    wait_ready(url, ended_of(container))
    ends, guard, warmed = Counter(), threading.Lock(), threading.Event()

    def call():
        body = {"model": "all-MiniLM-L6-v2", "input": "A kit that works at 3 a.m."}
        with httpx2.Client(base_url=url, timeout=60) as client:
            while True:
                try:
                    answer = client.post("/v1/embeddings", json=body)
                except httpx2.TransportError:
                    return "not taken"
                code = None if answer.status_code == 200 else answer.json()["error"]["code"]
                with guard:
                    ends[code] += 1
                    if ends[None] > 3 * CALLERS:
                        warmed.set()
                if code:
                    return code

    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call) for _ in range(CALLERS)]
        assert warmed.wait(120)
        container.stop(timeout=60)
        results = {item.result() for item in calls}
    assert results <= {"not taken", "DRAINING"}
    assert set(ends) <= {None, "DRAINING"}
    lines = [json.loads(line) for line in container.logs().decode().splitlines()]
    assert len([line for line in lines if line.get("event") == "request"]) == ends.total()
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0
