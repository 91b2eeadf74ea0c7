"""Room for a prompt and its answer in a model's context: what does not fit is refused, never cut.

Standard library only.
"""

from mealkit.errors import failure


def require_room(prompt_tokens: int, max_tokens: int, limit_tokens: int, where: str) -> None:
    """Refuse a prompt that leaves less than ``max_tokens`` of the context to its answer.

    Raises:
        RequestError: ``REQUEST_TOO_LONG``, with all three numbers.
    """
    left = limit_tokens - prompt_tokens
    if left >= max_tokens:
        return
    message = (
        f"the prompt has {prompt_tokens} tokens, which leaves {max(0, left)} of {limit_tokens}: "
        f"max_tokens is {max_tokens}"
    )
    hint = f"ask for max_tokens of {left} at most, or shorten the prompt" if left > 0 else None
    raise failure("REQUEST_TOO_LONG", message, where=where, hint=hint)
