"""What the engine did, under the names, labels and buckets that other engines' dashboards know."""

import pytest

from mealkit.errors import problem
from mealkit.runtime.api.usage import TokenUsage
from mealkit.runtime.watch.metrics import Metrics

LABELS = 'gen_ai_operation_name="chat",gen_ai_provider_name="mealkit",gen_ai_request_model="m"'


@pytest.fixture
def metrics():
    return Metrics("m")


def lines(metrics):
    return metrics.text().decode().splitlines()


def test_streamed_answer(metrics):
    """Duration, first token, time per later token, and tokens in and out."""
    metrics.used("chat", TokenUsage(10, 5), 1.0, 0.2)
    found = lines(metrics)
    for line in (
        f'gen_ai_server_request_duration_seconds_sum{{error_type="",{LABELS}}} 1.0',
        f"gen_ai_server_time_to_first_token_seconds_sum{{{LABELS}}} 0.2",
        f"gen_ai_server_time_per_output_token_seconds_sum{{{LABELS}}} 0.2",
        f'gen_ai_client_token_usage_sum{{{LABELS},gen_ai_token_type="input"}} 10.0',
        f'gen_ai_client_token_usage_sum{{{LABELS},gen_ai_token_type="output"}} 5.0',
        "mealkit_tokens_total 15.0",
    ):
        assert line in found


def test_buckets_of_the_conventions(metrics):
    """The buckets are those that the conventions advise."""
    metrics.used("chat", TokenUsage(1, 2), 1.0, 0.2)

    def bounds(name):
        marked = [line for line in lines(metrics) if line.startswith(f"{name}_bucket")]
        return [line.partition('le="')[2].partition('"')[0] for line in marked]

    assert bounds("gen_ai_server_request_duration_seconds")[:3] == ["0.01", "0.02", "0.04"]
    assert bounds("gen_ai_server_request_duration_seconds")[-2:] == ["81.92", "+Inf"]
    assert bounds("gen_ai_server_time_to_first_token_seconds")[:3] == ["0.001", "0.005", "0.01"]
    assert bounds("gen_ai_server_time_per_output_token_seconds")[-2:] == ["2.5", "+Inf"]
    assert bounds("gen_ai_client_token_usage")[-2:] == ["6.7108864e+07", "+Inf"]


def test_failures(metrics):
    """A request that failed has its code as error type; problems are counted by owner."""
    metrics.missed("chat", 2.0, "REQUEST_TIMEOUT")
    metrics.failed(problem("ENGINE_HUNG", "silent"))
    duration = "gen_ai_server_request_duration_seconds_count"
    assert f'{duration}{{error_type="REQUEST_TIMEOUT",{LABELS}}} 1.0' in lines(metrics)
    assert 'mealkit_failures_total{code="ENGINE_HUNG",owner="kit-author"} 1.0' in lines(metrics)


def test_through_the_gateway(start, make_api_lock):
    """A stream's figures reach metrics and log line; the text of neither side does."""
    kit = start(make_api_lock()).wait_ready()
    assert kit.chat("private words here", stream=True).status_code == 200
    assert kit.chat("refuse").status_code == 400
    text = kit.client.get("/metrics").text
    assert "gen_ai_server_time_to_first_token_seconds_count" in text
    assert 'error_type="REQUEST_TOO_LONG"' in text
    done, refused = kit.wait_for(lambda: kit.events("request")[1:] and kit.events("request"))
    assert (done["prompt_tokens"], done["answer_tokens"]) == (3, 3)
    assert done["seconds"] >= done["engine_seconds"] >= done["first_seconds"] > 0
    assert "prompt_tokens" not in refused
    assert "private" not in "".join(kit.raw)
