"""Puts the kit's system prompt into a conversation, as the kit pins it. No I/O.

Most models were trained with one system message, at the beginning, so there is one: the kit's text,
or that and the caller's. A chat template that accepts several would otherwise get two in a row.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, assert_never

from mealkit.errors import MealkitError, failure
from mealkit.recipe.lock import Lock
from mealkit.recipe.system_prompt import Placement
from mealkit.runtime.api.prompt_set import Prompts

_BETWEEN = "\n\n"
_ROLES = frozenset({"system", "developer"})

PlainMessage = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SystemMessage:
    """The text with which conversations begin, and what becomes of a caller's own."""

    prompt: str
    """The name of the prompt."""
    text: str
    placement: Placement

    @classmethod
    def of(cls, lock: Lock, prompts: Prompts) -> Self | None:
        """Return the system message of a kit, with its values filled in; None without one.

        Raises:
            LockError: ``LOCK_INVALID``, the prompt cannot be filled in with the kit's values.
        """
        pinned = lock.system_prompt
        if pinned is None:
            return None
        try:
            filled = prompts.fill(pinned.prompt, pinned.values)
        except MealkitError as error:
            message = f"the system prompt cannot be written: {error.problems[0].message}"
            raise failure("LOCK_INVALID", message, where="system_prompt") from error
        # A file ends with a line break that is no part of its text.
        text = filled.removesuffix("\n")
        return cls(pinned.prompt, text, pinned.placement) if text else None

    def placed(self, messages: Sequence[PlainMessage]) -> Sequence[PlainMessage]:
        """Return a conversation with the kit's system message."""
        match self.placement:
            case Placement.BEFORE:
                return self._before(messages)
            case Placement.INSTEAD:
                others = [item for item in messages if item["role"] not in _ROLES]
                return [self._message, *others]
            case Placement.DEFAULT:
                has_own = any(item["role"] in _ROLES for item in messages)
                return messages if has_own else [self._message, *messages]
            case _:
                assert_never(self.placement)

    def outcome(self, roles: Iterable[str]) -> str:
        """Return what is done with messages of these roles, in a word for a header."""
        if _ROLES.isdisjoint(roles):
            return "added"
        return "left-out" if self.placement is Placement.DEFAULT else self.placement.value

    @property
    def _message(self) -> PlainMessage:
        return {"role": "system", "content": self.text}

    def _before(self, messages: Sequence[PlainMessage]) -> Sequence[PlainMessage]:
        first = messages[0] if messages else {}
        if first.get("role") not in _ROLES:
            return [self._message, *messages]
        texts = [text for text in (self.text, first["content"]) if text]
        return [{**first, "content": _BETWEEN.join(texts)}, *messages[1:]]
