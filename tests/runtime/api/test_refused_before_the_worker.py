"""What workers need not refuse: the gateway lets none of it through, and names the parameter."""

import pytest

from mealkit.recipe.kit import Feature, Task
from mealkit.runtime.api.chat import CHAT
from mealkit.runtime.api.classify import CLASSIFY
from mealkit.runtime.api.completions import COMPLETIONS
from mealkit.runtime.api.embeddings import EMBEDDINGS
from mealkit.runtime.api.predict import PREDICT
from mealkit.runtime.api.rerank import RERANK
from mealkit.runtime.api.tokenize import TOKENIZE

FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
INVALID, UNSUPPORTED, MODEL = "REQUEST_INVALID", "REQUEST_UNSUPPORTED", "REQUEST_MODEL"
GOOD = {
    CHAT.path: (Task.GENERATION, {"messages": [{"role": "user", "content": "hi"}]}),
    COMPLETIONS.path: (Task.GENERATION, {"prompt": "x"}),
    TOKENIZE.path: (Task.GENERATION, {"prompt": "x"}),
    EMBEDDINGS.path: (Task.EMBEDDINGS, {"input": "x"}),
    CLASSIFY.path: (Task.CLASSIFICATION, {"input": "x"}),
    RERANK.path: (Task.RERANKING, {"query": "q", "documents": ["a"]}),
    PREDICT.path: (Task.PREDICTION, {"input": {"text": "x"}}),
}
# fmt: off
CASES = [
    (CHAT, {"user": 1}, INVALID, "user"),
    (CHAT, {"best_of": 2}, UNSUPPORTED, "best_of"),
    (CHAT, {"model": "other"}, MODEL, "model"),
    (CHAT, {"max_tokens": 0}, INVALID, "max_tokens"),
    (CHAT, {"max_tokens": True}, INVALID, "max_tokens"),
    (CHAT, {"max_tokens": 10**30}, INVALID, "max_tokens"),
    (CHAT, {"temperature": "hot"}, INVALID, "temperature"),
    (CHAT, {"temperature": -0.1}, INVALID, "temperature"),
    (CHAT, {"temperature": 10**400}, INVALID, "temperature"),
    (CHAT, {"top_p": 1.1}, INVALID, "top_p"),
    (CHAT, {"top_p": 0}, INVALID, "top_p"),
    (CHAT, {"top_k": -2}, INVALID, "top_k"),
    (CHAT, {"min_p": 2}, INVALID, "min_p"),
    (CHAT, {"repetition_penalty": 0}, INVALID, "repetition_penalty"),
    (CHAT, {"seed": -1}, INVALID, "seed"),
    (CHAT, {"n": 0}, INVALID, "n"),
    (CHAT, {"n": 17}, INVALID, "n"),
    (CHAT, {"stop": 1}, INVALID, "stop"),
    (CHAT, {"stop": [""]}, INVALID, "stop[0]"),
    (CHAT, {"stop": ["x", 1]}, INVALID, "stop[1]"),
    (CHAT, {"logit_bias": [1]}, INVALID, "logit_bias"),
    (CHAT, {"logit_bias": {"x": 1}}, INVALID, "logit_bias.x"),
    (CHAT, {"logit_bias": {"-1": 1}}, INVALID, "logit_bias.-1"),
    (CHAT, {"logit_bias": {"1": 101}}, INVALID, "logit_bias.1"),
    (CHAT, {"logit_bias": {"1": 1, "01": 1}}, INVALID, "logit_bias"),
    (CHAT, {"logprobs": 1}, INVALID, "logprobs"),
    (CHAT, {"logprobs": True, "top_logprobs": 21}, INVALID, "top_logprobs"),
    (CHAT, {"top_logprobs": 1}, INVALID, "top_logprobs"),
    (CHAT, {"stream": "yes"}, INVALID, "stream"),
    (CHAT, {"stream": True, "stream_options": {"x": 1}}, UNSUPPORTED, "stream_options.x"),
    (CHAT, {"response_format": {"type": "xml"}}, INVALID, "response_format"),
    (CHAT, {"response_format": {"type": "json_schema"}}, INVALID, "response_format.json_schema"),
    (CHAT, {"messages": "hi"}, INVALID, "messages"),
    (CHAT, {"messages": []}, INVALID, "messages"),
    (CHAT, {"messages": None}, INVALID, "messages"),
    (CHAT, {"messages": ["hi"]}, INVALID, "messages[0]"),
    (CHAT, {"messages": [{"role": "king", "content": "x"}]}, INVALID, "messages[0]"),
    (CHAT, {"messages": [{"role": "user"}]}, INVALID, "messages[0].content"),
    (CHAT, {"messages": [{"role": "user", "content": 1}]}, INVALID, "messages[0].content"),
    (CHAT, {"messages": [{"role": "user", "content": "\ud800"}]}, INVALID, "messages[0].content"),
    (CHAT, {"messages": [{"role": "user", "content": "x", "mood": 1}]}, UNSUPPORTED, "messages[0].mood"),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, UNSUPPORTED, "messages[0].content[0]"),
    (CHAT, {"messages": [{"role": "user", "content": "x", "tool_calls": [{}]}]}, UNSUPPORTED, "messages[0].tool_calls"),
    (CHAT, {"messages": [{"role": "assistant", "tool_calls": [{"type": "function"}]}]}, INVALID, "messages[0].tool_calls[0].id"),
    (CHAT, {"messages": [{"role": "assistant", "content": "x", "refusal": "no"}]}, UNSUPPORTED, "messages[0].refusal"),
    (CHAT, {"tools": [{"type": "browser"}]}, INVALID, "tools[0].type"),
    (CHAT, {"tools": [FUNCTION, FUNCTION]}, INVALID, "tools"),
    (CHAT, {"tools": [{"type": "function", "function": {"parameters": {}}}]}, INVALID, "tools[0].function.name"),
    (CHAT, {"tools": [{"type": "function", "function": {"name": "f", "parameters": 1}}]}, INVALID, "tools[0].function.parameters"),
    (CHAT, {"tools": [{"type": "function", "function": {"name": "f", "strict": 1}}]}, INVALID, "tools[0].function.strict"),
    (CHAT, {"tool_choice": "required"}, INVALID, "tool_choice"),
    (CHAT, {"tools": [{"type": "function", "function": {"name": "f", "description": "\ud800"}}]}, INVALID, "tools[0].function.description"),
    (CHAT, {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"const": "\ud800"}}}}, INVALID, "response_format.json_schema.schema.const"),
    (CHAT, {"tools": [FUNCTION], "tool_choice": "maybe"}, INVALID, "tool_choice"),
    (CHAT, {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "g"}}}, UNSUPPORTED, "tool_choice"),
    (COMPLETIONS, {"echo": True}, UNSUPPORTED, "echo"),
    (COMPLETIONS, {"prompt": ["a", "b"]}, UNSUPPORTED, "prompt"),
    (COMPLETIONS, {"prompt": [1]}, UNSUPPORTED, "prompt"),
    (COMPLETIONS, {"logprobs": True}, INVALID, "logprobs"),
    (COMPLETIONS, {"logprobs": 6}, INVALID, "logprobs"),
    (COMPLETIONS, {"suffix": "x"}, UNSUPPORTED, "suffix"),
    (COMPLETIONS, {"tools": [FUNCTION]}, UNSUPPORTED, "tools"),
    (COMPLETIONS, {"response_format": {"type": "text"}}, UNSUPPORTED, "response_format"),
    (RERANK, {"model": "other"}, MODEL, "model"),
    (RERANK, {"query": ""}, INVALID, "query"),
    (RERANK, {"query": None}, INVALID, "query"),
    (RERANK, {"query": "\ud800"}, INVALID, "query"),
    (RERANK, {"documents": []}, INVALID, "documents"),
    (RERANK, {"documents": "a"}, INVALID, "documents"),
    (RERANK, {"documents": ["a", ""]}, INVALID, "documents[1]"),
    (RERANK, {"documents": ["a", {"text": ""}]}, INVALID, "documents[1].text"),
    (RERANK, {"documents": ["\udfff"]}, INVALID, "documents[0]"),
    (RERANK, {"top_n": 0}, INVALID, "top_n"),
    (RERANK, {"top_n": True}, INVALID, "top_n"),
    (RERANK, {"max_tokens_per_doc": 10}, UNSUPPORTED, "max_tokens_per_doc"),
    (RERANK, {"x": 1}, UNSUPPORTED, "x"),
    (EMBEDDINGS, {"model": "other"}, MODEL, "model"),
    (EMBEDDINGS, {"model": ["m"]}, INVALID, "model"),
    (EMBEDDINGS, {"input": []}, INVALID, "input"),
    (EMBEDDINGS, {"input": ""}, INVALID, "input[0]"),
    (EMBEDDINGS, {"input": ["x", ""]}, INVALID, "input[1]"),
    (EMBEDDINGS, {"input": ["x", ["y"]]}, INVALID, "input[1]"),
    (EMBEDDINGS, {"input": "\ud800"}, INVALID, "input[0]"),
    (EMBEDDINGS, {"encoding_format": "int8"}, INVALID, "encoding_format"),
    (EMBEDDINGS, {"encoding_format": []}, INVALID, "encoding_format"),
    (EMBEDDINGS, {"dimensions": 8}, UNSUPPORTED, "dimensions"),
    (EMBEDDINGS, {"surprise": 1}, UNSUPPORTED, "surprise"),
    (CLASSIFY, {"model": "other"}, MODEL, "model"),
    (CLASSIFY, {"input": []}, INVALID, "input"),
    (CLASSIFY, {"input": ["x", ""]}, INVALID, "input[1]"),
    (CLASSIFY, {"input": None}, INVALID, "input"),
    (CLASSIFY, {"input": ["x", 1]}, INVALID, "input[1]"),
    (CLASSIFY, {"input": "\ud800"}, INVALID, "input[0]"),
    (CLASSIFY, {"surprise": 1}, UNSUPPORTED, "surprise"),
    (PREDICT, {"model": "other"}, MODEL, "model"),
    (PREDICT, {"input": ["x"]}, INVALID, "input"),
    (PREDICT, {"seed": -1}, INVALID, "seed"),
    (PREDICT, {"stream": 1}, INVALID, "stream"),
    (PREDICT, {"temperature": 1}, UNSUPPORTED, "temperature"),
    (PREDICT, {"input": {"text": "\ud800"}}, INVALID, "input.text"),
    (TOKENIZE, {"model": "other"}, MODEL, "model"),
    (TOKENIZE, {"prompt": 1}, INVALID, "prompt"),
    (TOKENIZE, {"prompt": None}, INVALID, "prompt"),
    (TOKENIZE, {"messages": [{"role": "user", "content": "hi"}]}, INVALID, "prompt"),
    (TOKENIZE, {"prompt": "\ud800"}, INVALID, "prompt"),
    (TOKENIZE, {"surprise": 1}, UNSUPPORTED, "surprise"),
]
# fmt: on


@pytest.mark.parametrize(
    ("endpoint", "values", "code", "where"),
    CASES,
    ids=[f"{case[0].operation}-{number}" for number, case in enumerate(CASES)],
)
def test_what_cannot_be_honoured_is_refused(offer, ask, endpoint, values, code, where):
    """Every value has its type and is within its bounds, or its parameter is named."""
    task, good = GOOD[endpoint.path]
    features = {"features": frozenset(Feature)} if task is Task.GENERATION else {}
    assert ask(endpoint, offer(task, **features), **{**good, **values}) == (code, where)
