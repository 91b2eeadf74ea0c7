"""Checks requests against the kit's data contract, before the engine gets them.

Raises DataError for the violations that the contract refuses, and notes the others in a header and
a counter. Nothing is repaired. The tokens of a text are counted by the engine, and only if its
characters do not decide.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from mealkit.contract.checker import Checker
from mealkit.contract.field_values import texts_of, value_at
from mealkit.contract.population_drift import DriftWindow
from mealkit.contract.rule_forms import Place, ToolSet
from mealkit.contract.text_language import language_identifier
from mealkit.contract.text_length import LengthCheck, counts_tokens
from mealkit.contract.value_schema import SchemaFaultError
from mealkit.contract.violation import Violation
from mealkit.errors import Problem, failure
from mealkit.recipe.data_contract import Action, DataContract, LengthRule
from mealkit.recipe.kit import Feature
from mealkit.recipe.lock import Lock
from mealkit.runtime.api.contract_inputs import ContractInputs
from mealkit.runtime.api.endpoint import Asked, TextToCount
from mealkit.runtime.api.prompt_length import count_of
from mealkit.runtime.api.reading import body_of
from mealkit.runtime.gateway.problem_answers import DataRefusedError

_SHOWN_VIOLATIONS = 10
MAX_TEXTS = 2048
"""The most texts of an input whose tokens are counted or whose language is told, as many as
embeddings take."""
# A larger body is checked beside the event loop: either takes at most a few milliseconds.
_QUICK_BYTES, _SLOW_BYTES = 16 * 1024, 1024
# A tokenizer that normalises may make that many tokens of one character that is not ASCII, and adds
# few to a text.
_TOKENS_OF_A_CHARACTER = 64
_SPECIAL_TOKENS = 8
# The characters of a field's name that a header has as they are; others are written as in a URL.
_PLAIN = "._-[]"

Count = Callable[[str, str], None]
"""Counts a request that violates a rule: the input's name, and the rule."""


@dataclass(frozen=True, slots=True)
class _TokenRule:
    """The bounds of tokens for one input."""

    name: str
    rule: LengthRule

    def is_decided(self, text: str) -> bool:
        """Return whether a text certainly has as many tokens as allowed, by its characters."""
        each = 1 if text.isascii() else _TOKENS_OF_A_CHARACTER
        most, fewest = self.rule.maximum_tokens, self.rule.minimum_tokens or 0
        fits = most is None or len(text) * each + _SPECIAL_TOKENS <= most
        return fits and fewest <= bool(text)

    def violations(
        self, asked: Sequence[TextToCount], counts: Mapping[str, int]
    ) -> Iterable[Violation]:
        """Return the violations of the texts that were counted."""
        place = Place(self.name, "length", self.rule.action, "DATA_LENGTH")
        texts = [(item.where, item.text) for item in asked if item.name == self.name]
        return LengthCheck(place, self.rule, counts.__getitem__).check_texts(texts)


class DataGate:
    """The data contract of a kit."""

    def __init__(self, contract: DataContract, lock: Lock, count: Count) -> None:
        """Compile it; ``lock`` has the profile and what the engine can do.

        Raises:
            EngineError: ``ENGINE_START``, a schema cannot be used, or a package is missing.
        """
        try:
            tells = any("languages" in rules.active for rules in contract.inputs.values())
            identify = language_identifier() if tells else None
            self._checker = Checker.of(contract, ToolSet(identify_language=identify))
        except (SchemaFaultError, ImportError) as error:
            message = f"the data contract cannot be checked: {error}"
            raise failure("ENGINE_START", message, hint="mealkit lock, then build again") from error
        profile = lock.data_profile
        self._window = DriftWindow(contract, profile, identify) if profile else None
        self._model = lock.model.name
        self._count = count
        self._token_rules = tuple(_token_rules(contract))
        self.unchecked: tuple[str, ...] = ()
        """The inputs whose rule of tokens is not checked, because the engine does not count."""
        if Feature.TOKENS not in lock.engine.features:
            self.unchecked = tuple(rule.name for rule in self._token_rules)
            self._token_rules = ()
        self._bounded = tuple(_bounded(contract, self._token_rules))
        self.small_bytes = _SLOW_BYTES if self._bounded else _QUICK_BYTES
        """The largest body that is checked in the event loop."""

    def passed(self, asked: Asked) -> Asked:
        """Return a request that may pass, with its warnings and the texts to count.

        Raises:
            DataError: a rule refuses it.
            RequestError: ``REQUEST_TOO_LARGE``, it has too many texts to count their tokens.
        """
        if asked.inputs is None:
            return asked
        inputs = asked.inputs
        for name in self._bounded:
            _require_few(len(texts_of(name, value_at(inputs.values, name))), inputs.place(name))
        if self._window:
            # Also of refused requests: what callers send is what has drifted.
            self._window.add(inputs.values)
        found = [
            replace(violation, field=inputs.place(violation.field))
            for violation in self._checker.check(inputs.values)
        ]
        warnings = self._judged(found, asked) if found else ""
        to_count = tuple(self._undecided(inputs)) if self._token_rules else ()
        return replace(asked, inputs=None, to_count=to_count, data_warnings=warnings)

    def drift(self) -> dict[str, float]:
        """Return how far each input of the last requests is from the kit's profile."""
        return self._window.drift() if self._window else {}

    async def counted(self, asked: Asked, ask: Callable[[bytes], Awaitable[bytes]]) -> Asked:
        """Return a request after its tokens were counted by ``ask``, with further warnings.

        Raises:
            DataError: a rule refuses it.
            EngineError: ``ENGINE_ANSWER``, the engine does not count tokens.
        """
        counts: dict[str, int] = {}
        for item in asked.to_count:
            if item.text not in counts:
                counts[item.text] = count_of(await ask(item.body))
        found = [
            violation
            for rule in self._token_rules
            for violation in rule.violations(asked.to_count, counts)
        ]
        more = self._judged(found, asked) if found else ""
        return replace(asked, data_warnings=", ".join(filter(None, (asked.data_warnings, more))))

    def _undecided(self, inputs: ContractInputs) -> Iterator[TextToCount]:
        for rule in self._token_rules:
            for field, text in texts_of(rule.name, value_at(inputs.values, rule.name)):
                if not rule.is_decided(text):
                    yield TextToCount(rule.name, inputs.place(field), text, self._counting(text))

    def _counting(self, text: str) -> bytes:
        return body_of({"model": self._model, "prompt": text})

    def _judged(self, found: Sequence[Violation], asked: Asked) -> str:
        """Count violations; raise for those that are refused, return the others as a header."""
        for name, rule in dict.fromkeys((item.name, _kind(item.rule)) for item in found):
            self._count(name, rule)
        named = [(_renamed(item.problem(), asked), item) for item in found]
        refused = [pair for pair in named if pair[1].action is Action.REFUSE]
        if refused:
            shown = [_detail(*pair) for pair in refused[:_SHOWN_VIOLATIONS]]
            raise DataRefusedError([fault for fault, _ in refused], shown)
        words = [f"{quote(str(fault.where), _PLAIN)}={item.rule}" for fault, item in named]
        more = [f"and={len(words) - _SHOWN_VIOLATIONS}"] if len(words) > _SHOWN_VIOLATIONS else []
        return ", ".join([*words[:_SHOWN_VIOLATIONS], *more])


def _token_rules(contract: DataContract) -> Iterator[_TokenRule]:
    for name, rules in contract.inputs.items():
        length = rules.length
        if length and "length" in rules.active and counts_tokens(length):
            only = {"minimum_characters": None, "maximum_characters": None}
            yield _TokenRule(name, length.model_copy(update=only))


def _bounded(contract: DataContract, token_rules: Sequence[_TokenRule]) -> Iterator[str]:
    """Yield the inputs whose rules take time for each text."""
    counted = {rule.name for rule in token_rules}
    for name, rules in contract.inputs.items():
        if name in counted or {"languages", "duplicates"} & set(rules.active):
            yield name


def _require_few(count: int, where: str) -> None:
    if count > MAX_TEXTS:
        message = f"{where} has {count} texts, the limit of the data contract is {MAX_TEXTS}"
        raise failure("REQUEST_TOO_LARGE", message, where=where)


def _kind(rule: str) -> str:
    """Return a rule's name without its part, for few series of the metric."""
    return rule.partition(".")[0]


def _renamed(problem: Problem, asked: Asked) -> Problem:
    return asked.renamed(problem) if asked.renamed else problem


def _detail(problem: Problem, violation: Violation) -> dict[str, Any]:
    return {**violation.as_json(), "field": problem.where}
