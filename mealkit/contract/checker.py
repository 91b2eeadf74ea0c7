"""Checks a request's values against a data contract: the gateway and `mealkit fit` use it alike.

Nothing is repaired or changed. A value that an input's rule is not about, such as a number for the
rule of lengths, is not a violation: the schema is the rule for types.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Self

from pydantic import JsonValue

from mealkit.contract.field_values import texts_of, value_at
from mealkit.contract.number_range import RangeCheck
from mealkit.contract.rule_forms import Place, TextRule, Tools, ValueRule
from mealkit.contract.stated_origin import AgeCheck, ProvenanceCheck
from mealkit.contract.text_length import LengthCheck, counts_tokens
from mealkit.contract.value_schema import SchemaCheck
from mealkit.contract.violation import Violation
from mealkit.recipe.data_contract import RULES, Action, DataContract, InputContract

MAX_VIOLATIONS = 100
"""The most violations that one check returns; a request may have thousands."""


_CODES = {
    "schema": "DATA_SCHEMA",
    "range": "DATA_RANGE",
    "provenance": "DATA_PROVENANCE",
    "age": "DATA_AGE",
    "length": "DATA_LENGTH",
    "quality": "DATA_QUALITY",
    "languages": "DATA_LANGUAGES",
    "duplicates": "DATA_DUPLICATES",
}


@dataclass(frozen=True, slots=True)
class InputRules:
    """The rules of one input that are not off."""

    name: str
    values: tuple[ValueRule, ...]
    texts: tuple[TextRule, ...]

    def check(self, values: Mapping[str, JsonValue]) -> Iterable[Violation]:
        """Return the violations of the input; none if the request does not have it."""
        value = value_at(values, self.name)
        if value is None:
            return ()
        found = [rule.check(self.name, value) for rule in self.values]
        if self.texts:
            texts = texts_of(self.name, value)
            found += [rule.check_texts(texts) for rule in self.texts]
        return chain.from_iterable(found)


@dataclass(frozen=True, slots=True)
class Checker:
    """A data contract that is ready to check values."""

    inputs: tuple[InputRules, ...]
    unchecked: tuple[str, ...]
    """The rules that are not checked, because their tool is missing: ``input.length.tokens``."""

    @classmethod
    def of(cls, contract: DataContract, tools: Tools) -> Self:
        """Compile a contract.

        Raises:
            SchemaFaultError: a schema cannot be used.
        """
        inputs = tuple(
            _input_rules(name, _active(rules), tools) for name, rules in contract.inputs.items()
        )
        return cls(inputs, tuple(_unchecked(contract, tools)))

    def check(self, values: Mapping[str, JsonValue]) -> tuple[Violation, ...]:
        """Return the violations of a request's values, at most `MAX_VIOLATIONS`."""
        found = chain.from_iterable([rules.check(values) for rules in self.inputs])
        return tuple(islice(found, MAX_VIOLATIONS))


def _active(rules: InputContract) -> InputContract:
    """Return the rules without those that are off."""
    off = {
        name: None
        for name in RULES
        if (rule := getattr(rules, name)) is not None and rule.action is Action.OFF
    }
    return rules.model_copy(update=off) if off else rules


def _input_rules(name: str, rules: InputContract, tools: Tools) -> InputRules:
    values: list[ValueRule] = []
    texts: list[TextRule] = []

    def place(rule: str, action: Action) -> Place:
        return Place(name, rule, action, _CODES[rule])

    if schema := rules.schema_:
        values.append(SchemaCheck(place("schema", schema.action), schema))
    if limits := rules.range:
        values.append(RangeCheck(place("range", limits.action), limits))
    if provenance := rules.provenance:
        values.append(ProvenanceCheck(place("provenance", provenance.action), provenance))
    if age := rules.age:
        values.append(AgeCheck(place("age", age.action), age, tools.today))
    if length := rules.length:
        texts.append(LengthCheck(place("length", length.action), length, tools.count_tokens))
    return InputRules(name, tuple(values), tuple(texts))


def _unchecked(contract: DataContract, tools: Tools) -> Iterator[str]:
    for name, stated in contract.inputs.items():
        rules = _active(stated)
        if tools.count_tokens is None and rules.length and counts_tokens(rules.length):
            yield f"{name}.length.tokens"
        if tools.identify_language is None and rules.languages:
            yield f"{name}.languages"
