"""Rewrites messages for an engine's server that renders the chat template itself.

The template is read from the weights, and asked as mealkit's own engines ask it: a message that it
would lose is sent in another form, or refused. If the template cannot be read or rendered here, the
messages stay as they are, and the server judges them.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mealkit.errors import MealkitError
from mealkit.worker.generation.chat_template import ChatTemplate
from mealkit.worker.generation_values import Message
from mealkit.worker.model_files import chat_template_of, read_text

Readable = Callable[[Sequence[Message]], Sequence[Message]]


def as_they_are(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages unchanged."""
    return messages


def readable_for(models: Path, chat_template: Any) -> Readable:
    """Return what makes messages readable for the template that a kit pins.

    ``chat_template`` is the hyperparameter: ``model``, ``none`` or a file of the weights. The
    template is read when the first messages come, after the weights have been verified.
    """

    @cache
    def template() -> ChatTemplate | None:
        try:
            if chat_template == "model":
                source = chat_template_of(models)
            else:
                source = read_text(models / str(chat_template))
            return ChatTemplate(source, {}, "the weights") if source else None
        except MealkitError:
            return None

    def readable(messages: Sequence[Message]) -> Sequence[Message]:
        found = template()
        return messages if found is None else found.readable(messages)

    return readable
