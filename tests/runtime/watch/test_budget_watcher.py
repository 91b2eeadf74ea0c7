"""A kit with prices and budgets, as its callers see it."""

import json
import sqlite3
import tempfile
from pathlib import Path

import pytest

from mealkit.recipe.kit import Task
from mealkit.runtime.gateway.keys import new_key
from mealkit.runtime.key_rules import key_rules

MODEL = "stand-in"
TOKENS = {"input": "1.00", "output": "2.00"}
# The stand-in's context has 64 tokens, and its answers at most 32.
ESTIMATE = 96


def ops(**cost):
    return {"MEALKIT_OPS": json.dumps({"cost": cost})}


def rows(kit, statement):
    state = getattr(kit, "state", kit.root / "state")
    with sqlite3.connect(state / "usage.sqlite") as database:
        return database.execute(statement).fetchall()


def used(kit):
    """Return requests, tokens of prompts and answers, and money, by key."""
    found = rows(
        kit,
        "select key_name, sum(requests), sum(input_tokens), sum(output_tokens), sum(nano)"
        " from mealkit_usage group by key_name",
    )
    return {key: sums for key, *sums in found}


def settled(kit):
    """Wait until everything is booked."""
    kit.wait_for(lambda: not rows(kit, "select * from mealkit_reservation"))


@pytest.fixture(scope="module")
def keys():
    """Keys with rules, and the file of their hashes."""
    lines, secrets = [], {}
    for name, words in {
        "plain": [],
        "old": ["expires=2020-01-01T00:00:00Z"],
        "embedder": ["scopes=/v1/embeddings,/v1/models", "expires=2999-01-01T00:00:00Z"],
        "slow": ["rate=2/hour"],
        "poor": ["budget=100tokens/day"],
        "soft": [],
        "cutter": [],
        "failed": [],
    }.items():
        secrets[name], kept = new_key(name, key_rules(words, ValueError))
        lines.append(kept.line)
    return secrets, "\n".join(lines)


@pytest.fixture(scope="module")
def kit(start_shared, make_api_lock, keys):
    """A kit for all tests that do not spend its budget."""
    budgets = [
        {"name": "monthly", "money": "1000.00", "tokens": 10**9},
        {"name": "each", "per": "key", "period": "day", "tokens": 200, "soft": True},
    ]
    environment = ops(per_million_tokens=TOKENS, budgets=budgets)
    environment |= {"MEALKIT_HOST": "0.0.0.0", "MEALKIT_KEYS": keys[1]}
    return start_shared(make_api_lock(), environment=environment).wait_ready()


@pytest.fixture
def ask(kit, keys):
    """Send a chat with a key; return the answer."""

    def send(name, text="hello", path="/v1/chat/completions", **values):
        body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **values}
        headers = {"Authorization": f"Bearer {keys[0][name]}"}
        return kit.client.post(path, json=body, headers=headers)

    return send


def test_the_first_request_that_does_not_fit_is_refused(start, make_api_lock):
    """Estimates and what is spent fit into the budget; the refusal has all that a caller needs."""
    budgets = [{"name": "daily", "period": "day", "tokens": ESTIMATE + 24, "warn_at": 0.9}]
    environment = ops(per_million_tokens=TOKENS, budgets=budgets)
    kit = start(make_api_lock(), environment=environment).wait_ready()
    answers = [kit.chat("hello") for _ in range(14)]
    # Each takes a token of the prompt and one of the answer.
    assert [answer.status_code for answer in answers] == [200] * 13 + [429]
    refusal = answers[-1]
    error = refusal.json()["error"]
    assert (error["code"], error["owner"]) == ("BUDGET_EXCEEDED", "platform")
    assert "budget daily has spent or reserved 26 of 120 tokens" in error["message"]
    assert "may need 96 tokens; it begins again at 20" in error["message"]
    assert "T00:00:00Z" in error["message"]
    assert 0 < int(refusal.headers["Retry-After"]) <= 86400
    left = f'"daily";left="{120 - ESTIMATE}";limit="120";unit="tokens";until='
    assert answers[0].headers["X-Mealkit-Budget"].startswith(left)
    assert "X-Mealkit-Budget-Warning" not in answers[0].headers
    # What is reserved counts: 96 of the request itself, and 2 for each before.
    assert answers[12].headers["X-Mealkit-Budget-Warning"] == '"daily";used=1.000'
    settled(kit)
    # 1.00 and 2.00 for a million tokens, in nano-units.
    assert used(kit) == {"": [13, 13, 13, 13 * 3000]}
    assert kit.gauge('mealkit_budget_spent{budget="daily",key="",unit="tokens"}') == 26
    assert kit.gauge('mealkit_budget_limit{budget="daily",key="",unit="tokens"}') == 120


def test_a_kill_books_the_request_in_flight_once_by_its_estimate(start, make_api_lock):
    """What was booked stays; what was reserved is spent at the next start, and not again."""
    with tempfile.TemporaryDirectory(prefix="mk") as folder:
        environment = ops(
            per_million_tokens=TOKENS, budgets=[{"name": "monthly", "tokens": 10**6}]
        ) | {"MEALKIT_STATE": folder}

        def begin():
            kit = start(make_api_lock(), environment=environment).wait_ready()
            kit.state = Path(folder)
            return kit

        kit = begin()
        kit.chat("hello")
        body = {"model": MODEL, "stream": True}
        body["messages"] = [{"role": "user", "content": "stall:3"}]
        with kit.client.stream("POST", "/v1/chat/completions", json=body) as answer:
            next(answer.iter_bytes())
            settled_one = [[1, 1, 1, 3000]]
            kit.wait_for(lambda: list(used(kit).values()) == settled_one)
            kit.process.kill()
            kit.process.wait()
        assert len(rows(kit, "select * from mealkit_reservation")) == 1
        for _ in range(2):
            kit = begin()
            settled(kit)
            found = 3000 + (64 + 2 * 32) * 1000
            assert used(kit) == {"": [2, 1 + ESTIMATE, 1, found]}
            assert rows(kit, "select nano, tokens from mealkit_balance") == [(found, 2 + ESTIMATE)]
            kit.process.terminate()
            assert kit.wait_end() == 0
        # A process that ended well leaves nothing.
        assert not list(Path(folder).glob("*.alive"))


def test_a_stream_that_was_cut_pays_for_what_was_sent(kit, ask, keys, tmp_path):
    """Its prompt counts by its bytes, its answer by the events that the caller got."""
    body = {"model": MODEL, "stream": True}
    body["messages"] = [{"role": "user", "content": f"gone:{tmp_path / 'gone'}"}]
    headers = {"Authorization": f"Bearer {keys[0]['cutter']}"}
    with kit.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        assert '"monthly"' in answer.headers["X-Mealkit-Budget"]
        next(answer.iter_bytes())
    kit.wait_for(lambda: "cutter" in used(kit))
    requests, prompt, events, nano = used(kit)["cutter"]
    assert requests == 1
    assert 50 < prompt < 300
    assert events >= 1
    assert nano == prompt * 1000 + events * 2000


def test_a_stream_that_failed_pays_for_what_was_sent(kit, ask):
    """Otherwise answers that take longer than the kit's limit would be free."""
    assert "ENGINE_OUT_OF_MEMORY" in ask("failed", "error:5", stream=True).text
    kit.wait_for(lambda: "failed" in used(kit))
    requests, prompt, events, _ = used(kit)["failed"]
    assert requests == 1
    assert prompt > 50
    # The first event has no word.
    assert events == 6


def test_a_soft_budget_warns_and_answers(ask):
    """Beyond a soft budget each answer says so, and how much is used."""
    answers = [ask("soft") for _ in range(60)]
    assert {answer.status_code for answer in answers} == {200}
    name, _, part = answers[-1].headers["X-Mealkit-Budget-Warning"].partition(";used=")
    assert name == '"each"'
    assert float(part) >= 1
    assert 'unit="tokens"' in answers[-1].headers["X-Mealkit-Budget"]


def test_a_refused_request_costs_nothing(kit, ask):
    """A request that never reached the engine is not booked, and its reservation is released."""
    before = used(kit).get("plain")
    assert ask("plain", "refuse").status_code == 400
    assert ask("plain", temperature="hot").status_code == 400
    settled(kit)
    after = used(kit).get("plain", [0, 0, 0, 0])
    # The engine refused the first one: it took a little of its time, and no tokens.
    assert after[1:] == (before or [0, 0, 0, 0])[1:]


@pytest.mark.parametrize(
    ("name", "status", "code", "words"),
    [
        ("old", 401, "REQUEST_KEY", "the API key old expired at 2020-01-01T00:00:00Z"),
        ("embedder", 403, "REQUEST_SCOPE", "only for /v1/embeddings, /v1/models"),
    ],
)
def test_a_key_that_may_not(ask, name, status, code, words):
    """An expired key gets 401 with its end, a key for other endpoints 403 with their names."""
    answer = ask(name)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert words in error["message"]


def test_a_key_may_use_its_endpoints(kit, keys):
    """A scope names the paths that a key is for."""
    headers = {"Authorization": f"Bearer {keys[0]['embedder']}"}
    assert kit.client.get("/v1/models", headers=headers).status_code == 200


def test_a_key_is_slowed_to_its_rate(ask):
    """Beyond its rate a key gets 429, and the seconds until its next request."""
    answers = [ask("slow") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].json()["error"]["code"] == "REQUEST_RATE"
    assert "more requests than 2/hour" in answers[-1].json()["error"]["message"]
    assert 1700 < int(answers[-1].headers["Retry-After"]) <= 1800


def test_a_key_has_a_budget_of_its_own(ask):
    """The budget of a key's line counts for that key alone."""
    answers = [ask("poor") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert "budget key:poor of the key poor" in answers[-1].json()["error"]["message"]
    assert ask("plain").status_code == 200


def test_budgets_that_cannot_be_stored_admit_nothing(start, make_api_lock):
    """Where usage cannot be written, requests are refused: a cap that is not counted is no cap."""
    environment = ops(budgets=[{"name": "monthly", "tokens": 1000}])
    kit = start(make_api_lock(), environment=environment | {"MEALKIT_RECORDS": "/dev/null/records"})
    answer = kit.wait_ready().chat("hello")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "BUDGET_UNAVAILABLE")
    assert (error["owner"], answer.headers["Retry-After"]) == ("platform", "5")
    assert "Not a directory" in error["message"]


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        ({}, "the key team has a budget of money, which needs prices in ops.cost"),
        (None, "the key team has a budget of money, which needs prices in ops.cost"),
        ({"shared": True}, "MEALKIT_USAGE_DATABASE does not name a database"),
    ],
)
def test_budgets_that_cannot_be_counted(start, cost, words):
    """A kit that could not enforce what is stated does not start."""
    _, kept = new_key("team", key_rules(["budget=10.00/month"], ValueError))
    environment = {"MEALKIT_HOST": "0.0.0.0", "MEALKIT_KEYS": kept.line}
    kit = start(environment=environment | (ops(**cost) if cost is not None else {}))
    assert kit.wait_end() == 9
    assert kit.lines[-1]["code"] == "CONFIG_INVALID"
    assert words in kit.lines[-1]["message"]


@pytest.mark.parametrize(
    ("cost", "key", "words"),
    [
        ({"budgets": [{"name": "m", "tokens": 9}]}, "", "ops.cost.budgets[0].tokens: the kit's"),
        ({"cpu_hour": "1"}, "budget=9tokens/day", "the key team has a budget of tokens, which"),
    ],
)
def test_tokens_of_code_that_counts_none(start, make_api_lock, cost, key, words):
    """A budget that could never be spent would cap nothing, so the kit does not start."""
    _, kept = new_key("team", key_rules(key.split(), ValueError))
    environment = {"MEALKIT_HOST": "0.0.0.0", "MEALKIT_KEYS": kept.line, **ops(**cost)}
    kit = start(make_api_lock(Task.PREDICTION), environment=environment)
    assert kit.wait_end() == 9
    assert words in kit.lines[-1]["message"]
