"""The audit log of a real kit: which requests have lines, and what they state."""

import json

import pytest

pytestmark = pytest.mark.xdist_group("audit")


def lines_of(kit):
    """Return the lines of the kit's audit log."""
    files = sorted((kit.root / "state" / "audit" / "chain-0001").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def kit(start_shared):
    return start_shared(environment={"MEALKIT_OPS": json.dumps({"audit": {}})}).wait_ready()


def test_request_has_a_line(kit):
    """A request has a line before the engine gets it, and one about its end."""
    answer = kit.client.post(
        "/v1/embeddings",
        json={"model": "stand-in", "input": "hello", "prompt": "query"},
        headers={"X-Request-Id": "first"},
    )
    print(answer.text)
    kit.wait_for(lambda: [x for x in lines_of(kit) if x.get("id") == "first"][0:])
    for line in lines_of(kit):
        print(line)
