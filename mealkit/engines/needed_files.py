"""Which files below /models an engine needs for a task, and which of them a kit does not name.

Build side only, no I/O: the names of files decide, not their content.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pydantic import JsonValue

from mealkit.recipe.kit import Task

Values = Mapping[str, JsonValue]
Needs = Callable[[Task, Values, Values], Sequence["NeededFiles"]]
"""Returns the files that an engine needs for a task with these hyperparameters and settings."""

_SIGNS = "*?["


@dataclass(frozen=True, slots=True)
class NeededFiles:
    """Files that an engine needs: one of several groups, each complete."""

    what: str
    """Their purpose: ``the tokenizer``."""
    groups: tuple[tuple[str, ...], ...]
    """The names or patterns of each group; the usual group first."""
    setting: str | None = None
    """The setting of the engine that has the file's name."""

    def are_in(self, names: Collection[str]) -> bool:
        """Return whether the files, or patterns that may match them, are among these names."""
        return any(all(_is_in(wanted, names) for wanted in group) for group in self.groups)

    def lacking(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the files that are not among these names, of the group that lacks fewest."""
        lacks = (tuple(item for item in group if not _is_in(item, names)) for group in self.groups)
        return min(lacks, key=len)


def no_files(_task: Task, _hyperparameters: Values, _settings: Values) -> Sequence[NeededFiles]:
    """Return an empty list: the needed files of an engine that runs with any."""
    return ()


# The forms of tokenizers that libraries convert to a tokenizer.json.
_OLDER_TOKENIZERS = (
    ("tokenizer.model",),
    ("spiece.model",),
    ("sentencepiece.bpe.model",),
    ("vocab.txt",),
    ("vocab.json", "merges.txt"),
)


def model_files(
    weights: Sequence[tuple[str, ...]],
    *tokenizers: tuple[str, ...],
) -> Needs:
    """Return the needs of an engine that reads a published model's folder, for every task.

    ``tokenizers`` are the forms that it reads besides tokenizer.json and the older ones.
    """
    own = (
        NeededFiles("the model's description", (("config.json",),)),
        NeededFiles("the weights", tuple(weights)),
        NeededFiles("the tokenizer", (("tokenizer.json",), *tokenizers, *_OLDER_TOKENIZERS)),
    )

    def needs(task: Task, hyperparameters: Values, _settings: Values) -> Sequence[NeededFiles]:
        return (*own, *named_template(hyperparameters)) if task is Task.GENERATION else own

    return needs


def named_template(hyperparameters: Values) -> Iterator[NeededFiles]:
    """Yield the file of a chat template, if the kit names one beside the weights."""
    name = hyperparameters.get("chat_template")
    if isinstance(name, str) and name not in {"model", "none"}:
        yield NeededFiles("hyperparameters.chat_template", ((name,),))


def _is_in(wanted: str, names: Collection[str]) -> bool:
    if any(sign in wanted for sign in _SIGNS):
        # Of two patterns, the ends decide: what *.safetensors and model* match may be one file.
        return any(fnmatchcase(name, wanted) or _may_meet(name, wanted) for name in names)
    return wanted in names or any(fnmatchcase(wanted, name) for name in names)


def _may_meet(one: str, other: str) -> bool:
    """Return whether a file may match both patterns."""
    if not any(sign in one for sign in _SIGNS):
        return False
    ends = [text.rsplit("*", 1)[-1].rsplit("]", 1)[-1].rsplit("?", 1)[-1] for text in (one, other)]
    return ends[0].endswith(ends[1]) or ends[1].endswith(ends[0])
