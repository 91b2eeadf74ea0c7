"""The rule of a text's quality: the largest share of each kind of damage."""

from collections.abc import Sequence

from mealkit.contract import text_damage
from mealkit.contract.field_values import Text
from mealkit.contract.rule_forms import Place
from mealkit.contract.violation import MAX_VIOLATIONS, Violation
from mealkit.recipe.data_contract import TextQualityRule

_MEASURES = {
    "undecodable": (text_damage.undecodable, "characters that could not be decoded"),
    "repeated": (text_damage.repeated, "lines and sentences that are repeated"),
    "mojibake": (text_damage.mojibake, "characters from a wrong encoding"),
    "broken_hyphenation": (text_damage.broken_hyphenation, "lines with a broken word"),
    "ocr_noise": (text_damage.ocr_noise, "words that were read wrongly from a scan"),
}


class QualityCheck:
    """The rule for one input."""

    def __init__(self, place: Place, rule: TextQualityRule) -> None:
        self._place = place
        self._limits = [
            (part, measure, limit, what)
            for part, (measure, what) in _MEASURES.items()
            if (limit := getattr(rule, part)) is not None
        ]

    def check_texts(self, texts: Sequence[Text]) -> list[Violation]:
        """Return the violations of each text."""
        found: list[Violation] = []
        for field, text in texts:
            for part, measure, limit, what in self._limits:
                share = measure(text)
                if share > limit and len(found) < MAX_VIOLATIONS:
                    measured = f"{_percent(share)} of {what}"
                    required = f"at most {_percent(limit)}"
                    found.append(self._place.violation(field, text, measured, required, part))
        return found


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
