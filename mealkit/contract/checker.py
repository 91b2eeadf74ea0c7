"""Checks a request's values against a data contract: the gateway and `mealkit fit` use it alike.

Nothing is repaired or changed. A value that an input's rule is not about, such as a number for the
rule of lengths, is not a violation: the schema is the rule for types.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Self

from pydantic import JsonValue

from mealkit.contract.field_values import texts_of, value_at
from mealkit.contract.near_duplicates import DuplicateCheck
from mealkit.contract.number_range import RangeCheck
from mealkit.contract.rule_forms import Place, TextRule, Tools, ValueRule
from mealkit.contract.stated_origin import AgeCheck, ProvenanceCheck
from mealkit.contract.text_language import LanguageCheck
from mealkit.contract.text_length import LengthCheck, counts_tokens
from mealkit.contract.text_quality import QualityCheck
from mealkit.contract.value_schema import SchemaCheck
from mealkit.contract.violation import MAX_VIOLATIONS, Violation
from mealkit.recipe.data_contract import RULES, Action, DataContract, InputContract


@dataclass(frozen=True, slots=True)
class InputRules:
    """The rules of one input that are not off."""

    name: str
    values: tuple[ValueRule, ...]
    texts: tuple[TextRule, ...]

    def check(self, values: Mapping[str, JsonValue], found: list[Violation]) -> None:
        """Add the violations of the input, up to a limit; none if the request does not have it."""
        name = self.name
        value = value_at(values, name)
        if value is None:
            return
        # Good values are the usual ones: a rule returns an empty tuple for them, which costs least.
        for rule in self.values:
            if broken := rule.check(name, value):
                found.extend(islice(broken, MAX_VIOLATIONS - len(found)))
        if not self.texts:
            return
        texts = [(name, value)] if type(value) is str else texts_of(name, value)
        for text_rule in self.texts:
            if broken := text_rule.check_texts(texts):
                found.extend(islice(broken, MAX_VIOLATIONS - len(found)))


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
        found: list[Violation] = []
        for rules in self.inputs:
            rules.check(values, found)
        return tuple(found)


def _active(rules: InputContract) -> InputContract:
    """Return the rules without those that are off."""
    off = {
        name: None
        for name in RULES
        if (rule := getattr(rules, name)) is not None and rule.action is Action.OFF
    }
    return rules.model_copy(update=off) if off else rules


def _input_rules(name: str, rules: InputContract, tools: Tools) -> InputRules:
    return InputRules(
        name, tuple(_value_rules(name, rules, tools)), tuple(_text_rules(name, rules, tools))
    )


def _value_rules(name: str, rules: InputContract, tools: Tools) -> Iterator[ValueRule]:
    if schema := rules.schema_:
        yield SchemaCheck(Place(name, "schema", schema.action, "DATA_SCHEMA"), schema)
    if limits := rules.range:
        yield RangeCheck(Place(name, "range", limits.action, "DATA_RANGE"), limits)
    if origin := rules.provenance:
        place = Place(name, "provenance", origin.action, "DATA_PROVENANCE")
        yield ProvenanceCheck(place, origin)
    if age := rules.age:
        yield AgeCheck(Place(name, "age", age.action, "DATA_AGE"), age, tools.today)


def _text_rules(name: str, rules: InputContract, tools: Tools) -> Iterator[TextRule]:
    """Yield the rules about texts, the fast ones first."""
    if length := rules.length:
        place = Place(name, "length", length.action, "DATA_LENGTH")
        yield LengthCheck(place, length, tools.count_tokens)
    if quality := rules.quality:
        yield QualityCheck(Place(name, "quality", quality.action, "DATA_QUALITY"), quality)
    if alike := rules.duplicates:
        yield DuplicateCheck(Place(name, "duplicates", alike.action, "DATA_DUPLICATES"), alike)
    if (languages := rules.languages) and tools.identify_language:
        place = Place(name, "languages", languages.action, "DATA_LANGUAGES")
        yield LanguageCheck(place, languages, tools.identify_language)


def _unchecked(contract: DataContract, tools: Tools) -> Iterator[str]:
    for name, stated in contract.inputs.items():
        rules = _active(stated)
        if tools.count_tokens is None and rules.length and counts_tokens(rules.length):
            yield f"{name}.length.tokens"
        if tools.identify_language is None and rules.languages:
            yield f"{name}.languages"
