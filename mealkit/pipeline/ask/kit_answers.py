"""Asks a kit, and turns its refusals into the problems that it states, with their owners.

Raises the kit's own problems; and ``TEST_UNREACHABLE``, ``TEST_KEY`` and ``TEST_NOT_A_KIT`` for
what does not answer as a kit does.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import TracebackType
from typing import Any, Self

from mealkit.acceptance.kit_client import Answer, KitClient, UnreachableError
from mealkit.acceptance.target import Target
from mealkit.errors import (
    MealkitError,
    Owner,
    OwnerContact,
    Problem,
    failure,
    failures,
    problem_of_json,
)
from mealkit.recipe.kit import Contact, Feature, Task
from mealkit.recipe.task_endpoints import task_endpoint
from mealkit.untrusted import UntrustedError, shown

_DESCRIPTION = "/openapi.json"
# A kit's own code may have described itself at length.
_MOST_PROBLEMS = 50
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class AnswerOfKit:
    """The JSON of an answer, and the headers that identify it."""

    value: Any
    recipe: str | None


class AskedKit:
    """A kit that answers; its connection is closed when the ``with`` block ends."""

    def __init__(
        self, target: Target, timeout_seconds: float, owner: Contact | None = None
    ) -> None:
        """Prepare; ``owner`` is the contact for problems of the kit's author."""
        self._target = target
        self._client = KitClient(target, timeout_seconds)
        self._owner = owner

    def __enter__(self) -> Self:
        """Do nothing: the first question connects."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._client.close()

    @cached_property
    def description(self) -> Mapping[str, Any]:
        """The kit's description of its API, as OpenAPI.

        Raises:
            MealkitError: it is not a kit, or refuses to say it.
        """
        answer = self._answered(lambda: self._client.get(_DESCRIPTION))
        found = self._json(answer)
        if not isinstance(found, dict) or not isinstance(found.get("x-mealkit"), dict):
            raise self._not_a_kit(f"{_DESCRIPTION} does not describe a kit")
        return found

    @property
    def model(self) -> str:
        """The name of the kit's model."""
        return str(self.description["x-mealkit"].get("model"))

    @property
    def task(self) -> Task:
        """The kit's task."""
        try:
            return Task(self.description["x-mealkit"].get("task"))
        except ValueError as error:
            raise self._not_a_kit("it states a task that this mealkit does not know") from error

    @property
    def features(self) -> frozenset[Feature]:
        """What the kit's engine can do besides."""
        stated = self.description["x-mealkit"].get("features")
        known = {item.value: item for item in Feature}
        return frozenset(known[item] for item in stated or () if item in known)

    @property
    def endpoint(self) -> str:
        """The path of its task's endpoint."""
        return task_endpoint(self.task, self.features)

    def ask(self, path: str, body: Mapping[str, Any]) -> AnswerOfKit:
        """Return the answer to a request.

        Raises:
            MealkitError: the kit refuses it, or cannot answer it.
        """
        data = _encoded(body)
        answer = self._answered(lambda: self._client.ask(path, data))
        return AnswerOfKit(self._json(answer), answer.recipe)

    def stream(
        self, path: str, body: Mapping[str, Any], on_event: Callable[[Any], None]
    ) -> AnswerOfKit:
        """Ask for a stream, and pass each event on as it arrives; return the last one.

        Raises:
            MealkitError: the kit refuses it, or an event is an error.
        """

        def passed(event: Any) -> bool:
            if not (isinstance(event, dict) and "error" in event):
                on_event(event)
            return False

        data = _encoded({**body, "stream": True})
        answer = self._answered(lambda: self._client.ask(path, data, passed))
        last = self._json(answer)
        if isinstance(last, dict) and "error" in last:
            raise self._refusal(answer.status, last)
        return AnswerOfKit(last, answer.recipe)

    def interrupt(self) -> None:
        """Close the connection of an answer that is not needed any more: the kit stops it."""
        self._client.close()

    def _answered(self, question: Callable[[], Answer]) -> Answer:
        try:
            answer = question()
        except UnreachableError as error:
            message = f"the kit does not answer: {error}"
            raise failure("TEST_UNREACHABLE", message, where=self._target.address) from error
        if answer.status == 200:
            return answer
        try:
            form = answer.json()
        except UntrustedError:
            form = None
        raise self._refusal(answer.status, form)

    def _json(self, answer: Answer) -> Any:
        try:
            return answer.json()
        except UntrustedError as error:
            raise self._not_a_kit(f"the answer is not JSON: {error}") from error

    def _refusal(self, status: int, form: Any) -> MealkitError:
        found = _problems(form)
        if any(item.code == "REQUEST_KEY" for item in found):
            message = "the kit requires an API key"
            return failure("TEST_KEY", message, where=self._target.address)
        if not found:
            said = shown(json.dumps(form)) if form is not None else "nothing that can be read"
            return self._not_a_kit(f"it answers with HTTP {status} and {said}")
        return failures([self._with_contact(item) for item in found])

    def _with_contact(self, problem: Problem) -> Problem:
        if problem.owner is not Owner.KIT_AUTHOR or self._owner is None:
            return problem
        owner = self._owner
        return replace(problem, contact=OwnerContact(owner.team, owner.contact, owner.support))

    def _not_a_kit(self, message: str) -> MealkitError:
        return failure("TEST_NOT_A_KIT", message, where=self._target.address)


def _encoded(body: Mapping[str, Any]) -> bytes:
    """Return a body as JSON.

    Raises:
        KitError: ``USAGE``, a text of the command line has bytes that are not UTF-8.
    """
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        text = error.object[max(0, error.start - _SHOWN) : error.end + _SHOWN]
        hint = "write it as UTF-8; a file goes in with -i NAME=@FILE"
        raise failure("USAGE", f"not UTF-8: {shown(text)}", hint=hint) from error


def _problems(form: Any) -> list[Problem]:
    """Return the problems that an answer states; empty if it states none that are known."""
    error = form.get("error") if isinstance(form, dict) else None
    if not isinstance(error, dict):
        return []
    listed = error.get("problems")  # of several, each by itself; the error names them all at once
    forms = listed[:_MOST_PROBLEMS] if isinstance(listed, list) and listed else [error]
    stated = [_stated(item) for item in forms if isinstance(item, dict)]
    return list(dict.fromkeys(item for item in stated if item is not None))


def _stated(form: Mapping[str, Any]) -> Problem | None:
    return problem_of_json({**form, "code": form.get("mealkit_code") or form.get("code")})
