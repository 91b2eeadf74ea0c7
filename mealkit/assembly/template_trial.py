"""Tries what a chat template does with system messages; a template cannot be asked.

Templates are rendered in the sandbox and on the budget of the engines.
"""

from collections.abc import Mapping, Sequence

from mealkit.errors import MealkitError
from mealkit.worker.generation.chat_template import ChatTemplate

_SHORT = ({"role": "user", "content": "a"},)
_LONG = (*_SHORT, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"})
_PROBE = "qzjxkw"
# What templates write around messages; which texts they are does not matter here.
_SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "", "unk_token": ""}
_MOST_CHARACTERS = 65_536


def system_fault(source: str) -> str | None:
    """Return what a chat template does to system messages, if it does not write them.

    None also for a template that cannot be tried, because it fails without them, too.
    """
    try:
        template = ChatTemplate(source, _SPECIAL, "the weights")
        template.render(_SHORT)
    except MealkitError:
        return None
    try:
        text = _with_system(template, _PROBE)
    except MealkitError as error:
        return f"does not write system messages: {error.problems[0].message}"
    return None if _PROBE in text else "does not write system messages"


def built_in_system(source: str) -> str | None:
    """Return the system text that a chat template writes by itself where there is none.

    With this text as its system message, a conversation is rendered as it is without one.
    """
    try:
        template = ChatTemplate(source, _SPECIAL, "the weights")
        without, tried = template.render(_SHORT), _with_system(template, _PROBE)
        begin, found, end = tried.partition(_PROBE)
        text = without.removeprefix(begin).removesuffix(end)
        is_there = without.startswith(begin) and without.endswith(end)
        if not found or not is_there or not 0 < len(text) <= _MOST_CHARACTERS:
            return None
        # Also in a longer one: a template may write a text that depends on the conversation.
        is_same = all(
            _with_system(template, text, turns) == template.render(turns)
            for turns in (_SHORT, _LONG)
        )
    except MealkitError:
        return None
    return text if is_same else None


def _with_system(
    template: ChatTemplate, text: str, turns: Sequence[Mapping[str, str]] = _SHORT
) -> str:
    return template.render([{"role": "system", "content": text}, *turns])
