"""The rule of a text's length, in characters and in tokens."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from mealkit.contract.field_values import Text
from mealkit.contract.rule_forms import Place
from mealkit.contract.violation import Violation
from mealkit.recipe.data_contract import LengthRule


class LengthCheck:
    """The rule for one input; without ``count_tokens`` only characters are counted."""

    def __init__(
        self, place: Place, rule: LengthRule, count_tokens: Callable[[str], int] | None
    ) -> None:
        self._place, self._rule = place, rule
        self._fewest = rule.minimum_characters or 0
        self._most = _or_endless(rule.maximum_characters)
        self._count = count_tokens if counts_tokens(rule) else None

    def check_texts(self, texts: Sequence[Text]) -> Iterable[Violation]:
        """Return the violations of each text."""
        if self._count is None:
            for _, text in texts:
                if not self._fewest <= len(text) <= self._most:
                    return self._violations(texts)
            return ()
        return self._violations(texts)

    def _violations(self, texts: Sequence[Text]) -> Iterator[Violation]:
        for field, text in texts:
            if not self._fewest <= len(text) <= self._most:
                yield self._outside(field, text, len(text), "characters")
            elif self._count is not None:
                yield from self._of_tokens(field, text, self._count(text))

    def _of_tokens(self, field: str, text: str, count: int) -> Iterator[Violation]:
        most = _or_endless(self._rule.maximum_tokens)
        if not (self._rule.minimum_tokens or 0) <= count <= most:
            yield self._outside(field, text, count, "tokens")

    def _outside(self, field: str, text: str, count: int, unit: str) -> Violation:
        low = getattr(self._rule, f"minimum_{unit}")
        if count < (low or 0):
            part, bound = f"minimum_{unit}", f"at least {low} {unit}"
        else:
            part = f"maximum_{unit}"
            bound = f"at most {getattr(self._rule, part)} {unit}"
        return self._place.violation(field, text, f"{count} {unit}", bound, part)


def counts_tokens(rule: LengthRule) -> bool:
    """Return whether a rule needs the tokens of texts."""
    return rule.minimum_tokens is not None or rule.maximum_tokens is not None


def _or_endless(bound: int | None) -> float:
    return float("inf") if bound is None else bound
