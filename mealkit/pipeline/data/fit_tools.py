"""Loads the tools that a contract's rules need: the kit's tokenizer, and what tells languages."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib.util import find_spec

from mealkit.contract.observation import tells_languages
from mealkit.contract.profiler import Tokenizer
from mealkit.contract.text_language import Identify, language_identifier
from mealkit.contract.text_length import counts_tokens
from mealkit.errors import Problem, failure
from mealkit.pipeline.data.stated_contract import StatedContract
from mealkit.pipeline.home import Home
from mealkit.progress import Progress
from mealkit.recipe.data_contract import Action, DataContract


@dataclass(frozen=True, slots=True)
class FitTools:
    """The tools of one command."""

    tokenizer: Tokenizer | None
    identify_language: Identify | None

    @property
    def count_tokens(self) -> Callable[[str], int] | None:
        """Counts a text's tokens."""
        tokenizer = self.tokenizer
        return None if tokenizer is None else lambda text: len(tokenizer.encode(text))

    def today(self) -> date:
        """Return the current date."""
        return datetime.now(UTC).date()


def fit_tools(stated: StatedContract, home: Home, progress: Progress) -> FitTools:
    """Load what the rules of a contract need; a rule whose tool is missing is not checked.

    Raises:
        DataError: the packages that read data are not installed (``DATA_EXTRA``).
        SourceError: the kit's tokenizer cannot be fetched.
    """
    _require("orjson", "pyarrow")
    tokenizer = _tokenizer(stated, home, progress) if _has_token_rule(stated.contract) else None
    identify = None
    if any(tells_languages(stated.contract, name) for name in stated.contract.inputs):
        _require("py3langid")
        # The rule and the profile ask for the same text.
        identify = lru_cache(maxsize=4)(language_identifier())
    return FitTools(tokenizer, identify)


def _tokenizer(stated: StatedContract, home: Home, progress: Progress) -> Tokenizer | None:
    from mealkit.pipeline.data.kit_tokenizer import tokenizer_of

    found = tokenizer_of(stated, home, progress)
    if isinstance(found, Problem):
        progress.notice(found)
        return None
    return found


def _has_token_rule(contract: DataContract) -> bool:
    lengths = [rules.length for rules in contract.inputs.values()]
    return any(
        rule is not None and rule.action is not Action.OFF and counts_tokens(rule)
        for rule in lengths
    )


def _require(*packages: str) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        message = f"packages that read data are not installed: {', '.join(missing)}"
        raise failure("DATA_EXTRA", message)
