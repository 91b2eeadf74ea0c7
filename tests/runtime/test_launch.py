"""The container half as real processes: start, failures of the start, stop."""

import json


def test_first(start):
    """A kit becomes ready and answers."""
    kit = start().wait_ready()
    answer = kit.embed("hello world")
    print(answer.status_code, answer.headers, answer.text)
    print(kit.raw)
    assert answer.status_code == 200
