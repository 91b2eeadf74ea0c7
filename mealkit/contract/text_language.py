"""The rule of a text's language, and the identifier that tells languages: py3langid."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import IO

from mealkit.contract.field_values import Text
from mealkit.contract.rule_forms import Place
from mealkit.contract.violation import Violation
from mealkit.recipe.data_contract import LanguageRule

# More does not make the answer better, and costs time.
_READ_CHARACTERS = 500
# The identifier has three codes for Norwegian; ISO 639 has no for both written forms.
_ALSO = {"no": frozenset({"nb", "nn"}), "nb": frozenset({"no"}), "nn": frozenset({"no"})}
# ISO 639's code for what is not a language, such as a table of numbers.
_NO_LANGUAGE = "zxx"
# With fewer letters, as in a table of numbers, the identifier names a rare language.
_LEAST_LETTERS = 15

KNOWN_LANGUAGES = frozenset(
    """
ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et
eu ext fa fi fo fr fuv fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id
ig is it ja jv ka kab kik kk km kn ko ku ky la lb lg lij ln lo lt ltg lv mg mk ml mn mr ms
mt my ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se si sk sl sn so sq sr
st sv sw ta te tg th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu nb
""".split()  # noqa: SIM905  readable
)
"""The codes of the languages that the identifier tells: all texts would violate a rule for others.

The package is not there when a kit is checked, so a test compares the two lists."""

Identify = Callable[[str], str | None]


class _InMemory:
    """Stands in for the module tempfile: files are in memory until they are closed."""

    @staticmethod
    def TemporaryFile(suffix: str = "") -> IO[bytes]:  # noqa: N802  the module's name
        return os.fdopen(os.memfd_create(f"model{suffix}"), "w+b")


class LanguageCheck:
    """The rule for one input."""

    def __init__(self, place: Place, rule: LanguageRule, identify: Identify) -> None:
        self._place, self._identify = place, identify
        self._least = rule.least_characters
        self._allowed = frozenset(rule.allowed).union(*(_ALSO.get(x, ()) for x in rule.allowed))
        self._required = " or ".join(rule.allowed)

    def check_texts(self, texts: Sequence[Text]) -> Iterator[Violation]:
        """Yield the texts that are in another language; short ones are not judged."""
        for field, text in texts:
            if len(text) < self._least:
                continue
            language = self._identify(text)
            if language is not None and language not in self._allowed:
                measured = f"the language {language}"
                yield self._place.violation(field, text, measured, self._required)


@cache
def language_identifier() -> Identify:
    """Load py3langid's model, some 10 MB of memory, and return a function that tells languages.

    It is loaded once in a process, since that takes half a second.

    Raises:
        ImportError: the package is not installed.
    """
    from py3langid import modelio  # noqa: PLC0415  late: a few kits
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415

    # It unpacks 70 MB into a temporary file, and a container may have no folder for one.
    modelio.tempfile = _InMemory
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)

    def identify(text: str) -> str | None:
        text = text[:_READ_CHARACTERS]
        if sum(map(str.isalpha, text)) < _LEAST_LETTERS:
            return None
        language, _ = identifier.classify(text)
        return None if language == _NO_LANGUAGE else str(language)

    return identify
