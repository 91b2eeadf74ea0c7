"""API keys: made, kept as hashes, asked for, taken away while the kit runs."""

import hashlib
import os
import re

import pytest

from mealkit.errors import MealkitError
from mealkit.runtime.gateway.keys import new_key, read_keys

OUTSIDE = {"MEALKIT_HOST": "0.0.0.0"}


def test_new_key():
    """A key is mk_ and 256 random bits; what is kept is its SHA-256 and a name."""
    key, kept = new_key("team-a")
    assert re.fullmatch(r"mk_[A-Za-z0-9_-]{43}", key)
    assert kept.line == f"sha256:{hashlib.sha256(key.encode()).hexdigest()} team-a"
    assert read_keys(f"# a comment\n\n {kept.line} \n", "keys") == [kept]
    assert new_key("team-a")[0] != key
    with pytest.raises(MealkitError, match="is not a valid name of a key"):
        new_key("a b")


@pytest.mark.parametrize("line", ["mk_abc team", "sha256:12 team", "sha256:" + "0" * 64])
def test_lines_that_are_no_keys(line):
    """A line that is not one is named by its number, and not repeated: it may be a key."""
    with pytest.raises(MealkitError) as caught:
        read_keys(f"# one\n{line}", "/keys")
    assert "line 2" in str(caught.value)
    assert line not in str(caught.value)
    assert caught.value.problems[0].where == "/keys"


HASH = f"sha256:{'0' * 64}"


def test_a_line_with_rules():
    """Fields after the name say what a key may do; the line can be written again from them."""
    line = (
        f"{HASH} team expires=2027-01-01T00:00:00Z scopes=/v1/embeddings,/v1/models"
        " rate=60/minute budget=10.00/month"
    )
    (kept,) = read_keys(line, "keys")
    assert kept.line == line
    assert kept.rules.expires_unix_seconds == 1798761600
    assert kept.rules.scopes == ("/v1/embeddings", "/v1/models")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("owner=mk_abc", "field 1 is not one of expires=, scopes=, rate=, budget="),
        ("rate=60/minute mk_abc", "field 2 is not one of"),
        ("rate=1/minute rate=mk_abc", "rate is stated twice"),
        ("expires=2027-13-01T00:00:00Z", "expires is not of the form"),
        ("expires=mk_abc", "expires is not of the form"),
        ("scopes=mk_abc", "scopes is not of the form"),
        ("scopes=/v1/models/", "scopes is not of the form"),
        ("scopes=//v1/models", "scopes is not of the form"),
        ("scopes=", "scopes is not of the form"),
        ("rate=0/minute", "rate is not of the form"),
        ("rate=9999999999/minute", "rate is not of the form"),
        ("budget=0.00/month", "budget is not of the form"),
        ("budget=10.00/year", "budget is not of the form"),
        ("budget=-1/month", "budget is not of the form"),
    ],
)
def test_a_field_that_is_not_valid(fields, words):
    """A wrong field is named with its line; no other text of the line is shown: it may be a key."""
    with pytest.raises(MealkitError) as caught:
        read_keys(f"\n{HASH} team {fields}", "keys")
    message = caught.value.problems[0].message
    assert f"line 2: {words}" in message
    assert "mk_abc" not in message


def test_one_name_one_key():
    """Two keys with one name could not be told apart."""
    lines = "\n".join(new_key("a")[1].line for _ in range(2))
    with pytest.raises(MealkitError, match="uses the name 'a' again"):
        read_keys(lines, "keys")


@pytest.mark.parametrize("environment", [OUTSIDE, OUTSIDE | {"MEALKIT_KEYS": "# none yet"}])
def test_no_start_without_keys(start, environment):
    """Where callers from outside could reach it, a kit without keys does not start."""
    kit = start(environment=environment)
    assert kit.wait_end() == 9
    problem = kit.lines[-1]
    assert (problem["code"], problem["owner"]) == ("KEYS_MISSING", "platform")
    assert "0.0.0.0" in problem["message"]
    assert "mealkit key new" in problem["hint"]


def test_open_because_it_was_said(start):
    """MEALKIT_AUTH=off lets all callers in; together with keys it is an error."""
    kit = start(environment=OUTSIDE | {"MEALKIT_AUTH": "off"}).wait_ready()
    assert kit.embed("hello").status_code == 200
    for name, value in (("MEALKIT_KEYS", "x"), ("MEALKIT_KEYS_FILE", "/x")):
        kit = start(environment={"MEALKIT_AUTH": "off", name: value})
        assert kit.wait_end() == 9
        assert kit.lines[-1]["code"] == "CONFIG_INVALID"


@pytest.mark.parametrize(
    "change",
    [{"MEALKIT_KEYS_FILE": "/nowhere/keys"}, {"MEALKIT_KEYS": "mk_a b"}, {"MEALKIT_OPEN": "all"}, {"MEALKIT_AUTH": "on"}],
)  # fmt: skip
def test_settings_that_cannot_be_used(start, change):
    """Keys that cannot be read end the start."""
    kit = start(environment=change)
    assert kit.wait_end() == 9
    assert kit.lines[-1]["code"] == "CONFIG_INVALID"


def test_keys_in_other_headers(start):
    """Clients of other APIs send a key in x-api-key or api-key, some beside a placeholder."""
    key, kept = new_key("team")
    kit = start(environment={"MEALKIT_KEYS": kept.line}).wait_ready()
    for headers, status in (
        ({"x-api-key": key}, 200),
        ({"api-key": key}, 200),
        ({"Authorization": "Bearer none", "x-api-key": key}, 200),
        ({"Authorization": f"Basic {key}"}, 401),
        ({"x-api-key": "none"}, 401),
        ({"x-api-key": ""}, 401),
    ):
        assert kit.client.get("/v1/models", headers=headers).status_code == status
    assert key not in "".join(kit.raw)


def test_requests_with_and_without_key(start):
    """Health and metrics are open; all else wants a key, which no log ever shows."""
    key, kept = new_key("team-a")
    kit = start(environment={"MEALKIT_KEYS": kept.line}).wait_ready()
    for path in ("/v1/health/live", "/healthz", "/ping", "/metrics"):
        assert kit.client.get(path).status_code == 200
    for headers in (
        {},
        {"Authorization": "Basic x"},
        {"Authorization": f"Bearer {key}x"},
        {"Authorization": "Bearer"},
    ):
        for path in ("/v1/models", "/v1/metadata", "/nowhere", "/docs"):
            answer = kit.client.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="mealkit"'
            error = answer.json()["error"]
            assert (error["code"], error["owner"]) == ("REQUEST_KEY", "caller")
        assert kit.embed("hello").status_code == 401
    kit.client.headers["Authorization"] = f"bearer {key}"
    assert kit.embed("hello").status_code == 200
    assert kit.client.get("/nowhere").status_code == 404
    (line,) = kit.wait_for(lambda: [e for e in kit.events("request") if e["status"] == 200])
    assert line["key"] == "team-a"
    assert key not in "".join(kit.raw)
    assert kit.gauge('mealkit_failures_total{code="REQUEST_KEY",owner="caller"}')


def test_metrics_that_need_a_key(start):
    """What is open beside health can be chosen."""
    kit = start(
        environment={"MEALKIT_KEYS": new_key("a")[1].line, "MEALKIT_OPEN": "docs"}
    ).wait_ready()
    assert kit.client.get("/metrics").status_code == 401
    assert kit.client.get("/openapi.json").status_code == 200


def test_file_is_read_again(start, tmp_path):
    """A key that is added works, one that is taken away does not; a broken file changes nothing."""
    (one, kept_one), (two, kept_two) = new_key("one"), new_key("two")
    keys = tmp_path / "keys"
    keys.write_text(kept_one.line + "\n")
    kit = start(environment={"MEALKIT_KEYS_FILE": str(keys)}).wait_ready()

    def status(key):
        return kit.client.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code

    assert (status(one), status(two)) == (200, 401)
    with keys.open("a") as file:
        file.write(kept_two.line + "\n")
    kit.wait_for(lambda: status(two) == 200)
    with keys.open("r+b") as file:
        file.write(b"#")  # as mealkit key remove does
    kit.wait_for(lambda: status(one) == 401)
    assert status(two) == 200
    keys.write_text("not a key")
    os.utime(keys, ns=(1, 1))
    kit.wait_for(lambda: status(two) == 200 and kit.events("keys not read"))
    assert "line 1 is not" in kit.events("keys not read")[-1]["message"]
    keys.unlink()
    kit.wait_for(lambda: status(two) == 200 and len(kit.events("keys not read")) == 2)
    keys.with_name("other").write_text(kept_one.line)
    keys.with_name("other").replace(keys)
    kit.wait_for(lambda: status(one) == 200)
