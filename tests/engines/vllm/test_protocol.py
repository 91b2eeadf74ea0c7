"""What the gateway says to vLLM's server, and reads of it, is in vLLM's own definitions."""

import pytest

SAMPLING = {
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "n",
    "logit_bias",
    "response_format",
}
SENT = {
    "ChatCompletionRequest": SAMPLING
    | {"messages", "logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls"},
    "CompletionRequest": SAMPLING | {"prompt", "echo", "logprobs"},
    "StreamOptions": {"include_usage"},
    "ResponseFormat": {"type", "json_schema"},
    "EmbeddingCompletionRequest": {"model", "input", "encoding_format"},
    "TokenizeCompletionRequest": {"model", "prompt"},
    "TokenizeChatRequest": {"model", "messages"},
}
READ = {
    "TokenizeResponse": {"count", "max_model_len", "tokens"},
    "ErrorInfo": {"message", "type", "param", "code"},
    "UsageInfo": {"prompt_tokens", "completion_tokens", "total_tokens"},
}


@pytest.mark.parametrize(("name", "fields"), [*SENT.items(), *READ.items()])
def test_fields(definitions, name, fields):
    """vLLM takes unknown fields and ignores them: one that it does not know would be lost."""
    assert fields <= definitions["requests"][name].keys()


@pytest.mark.parametrize(
    "route",
    [
        "GET /health",
        "GET /metrics",
        "POST /tokenize",
        "POST /v1/chat/completions",
        "POST /v1/completions",
        "POST /v1/embeddings",
    ],
)
def test_routes(definitions, route):
    """Every path that the gateway uses is one of vLLM's."""
    assert route in definitions["routes"]


def test_types_of_the_fields(definitions):
    """Lists of texts, seeds of 64 bits and biases by token number are what vLLM reads."""
    for name in ("ChatCompletionRequest", "CompletionRequest"):
        fields = definitions["requests"][name]
        assert "list[str]" in fields["stop"]
        assert "int" in fields["seed"]
        assert "dict[str, float]" in fields["logit_bias"]
        assert "ResponseFormat" in fields["response_format"]
    assert "'json_schema'" in definitions["requests"]["ResponseFormat"]["type"]
    assert "str" in definitions["requests"]["CompletionRequest"]["prompt"]


def test_metrics_that_dashboards_use(definitions):
    """The names that load balancers and dashboards read are still there."""
    wanted = {
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:prompt_tokens",
        "vllm:generation_tokens",
        "vllm:request_success",
        "vllm:time_to_first_token_seconds",
        "vllm:e2e_request_latency_seconds",
        "vllm:num_preemptions",
    }
    assert wanted <= set(definitions["metrics"])
