"""Keeps the turns of a conversation with a kit, and gets its answers piece by piece."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.errors import failure
from mealkit.pipeline.ask.kit_answers import AnswerOfKit, AskedKit
from mealkit.recipe.kit import Feature

_PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said so far."""

    messages: tuple[dict[str, str], ...] = ()

    @classmethod
    def begun(cls, system: str | None) -> "Conversation":
        """Return a conversation without turns; ``system`` is the caller's instruction, if any."""
        return cls(({"role": "system", "content": system},) if system else ())

    def with_turn(self, question: str, answer: str) -> "Conversation":
        """Return the conversation with one more question and its answer."""
        user, assistant = _said("user", question), _said("assistant", answer)
        return Conversation((*self.messages, user, assistant))

    def asked(self, question: str) -> list[dict[str, str]]:
        """Return the messages to send for a question."""
        return [*self.messages, _said("user", question)]


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def require_chat(kit: AskedKit, target: str) -> None:
    """Check that a kit has a chat template.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, it only continues texts.
    """
    if Feature.CHAT not in kit.features:
        raise failure(
            "REQUEST_UNSUPPORTED",
            f"{target} continues texts; it has no chat",
            hint=f"mealkit predict {target} -i prompt=TEXT",
        )


def answer_at_once(kit: AskedKit, messages: Sequence[dict[str, str]]) -> AnswerOfKit:
    """Return the whole answer of the API.

    Raises:
        MealkitError: the kit refuses the conversation, or cannot answer.
    """
    return kit.ask(_PATH, {"model": kit.model, "messages": list(messages)})


def answer_in_pieces(
    kit: AskedKit, messages: Sequence[dict[str, str]], on_text: Callable[[str], None]
) -> None:
    """Pass the pieces of an answer on as they arrive.

    Raises:
        MealkitError: the kit refuses the conversation, or cannot answer.
    """
    body = {"model": kit.model, "messages": list(messages)}
    kit.stream(_PATH, body, lambda event: on_text(_text_of(event)))


def _text_of(event: Any) -> str:
    try:
        text = event["choices"][0]["delta"].get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        return ""
    return text if isinstance(text, str) else ""
