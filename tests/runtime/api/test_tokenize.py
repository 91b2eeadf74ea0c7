"""Requests to count tokens."""

from mealkit.recipe.kit import Feature
from mealkit.runtime.api.tokenize import TOKENIZE

UNSUPPORTED = "REQUEST_UNSUPPORTED"


def test_no_chat_without_the_feature(offer, ask):
    """Messages are counted only where the model has a chat template."""
    kit = offer(features=frozenset({Feature.COMPLETION, Feature.TOKENS}))
    messages = [{"role": "user", "content": "a"}]
    assert ask(TOKENIZE, kit, messages=messages) == (UNSUPPORTED, "messages")


def test_tokens(offer, ask):
    """A text or a conversation is counted, not both and not neither."""
    kit = offer(features=frozenset(Feature))
    messages = [{"role": "user", "content": "a"}]
    assert ask(TOKENIZE, kit, prompt="a") == {"model": "stand-in", "prompt": "a"}
    assert ask(TOKENIZE, kit, messages=messages) == {"model": "stand-in", "messages": messages}
    for values in ({}, {"prompt": "a", "messages": messages}):
        assert ask(TOKENIZE, kit, **values) == ("REQUEST_INVALID", "prompt")


def test_neutral_values_of_other_servers(offer, ask):
    """What clients of vLLM always send changes no token; what would change one is refused."""
    kit = offer(features=frozenset(Feature))
    neutral = {"add_generation_prompt": True, "return_token_strs": False, "tools": []}
    assert ask(TOKENIZE, kit, prompt="a", **neutral) == ask(TOKENIZE, kit, prompt="a")
    tools = [{"type": "function", "function": {"name": "f"}}]
    for name, value in {"add_generation_prompt": False, "tools": tools}.items():
        assert ask(TOKENIZE, kit, prompt="a", **{name: value}) == (UNSUPPORTED, name)
