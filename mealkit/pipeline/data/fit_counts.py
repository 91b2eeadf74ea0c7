"""Counts what a contract's rules find in the rows of files, with the first examples of each."""

from collections import Counter
from collections.abc import Iterable

from mealkit.contract.fit_report import Example, FileFacts, FileFault, RuleResult
from mealkit.contract.violation import Violation
from mealkit.recipe.data_contract import Action

_EXAMPLES = 5
_FINDINGS = 100

_Key = tuple[str, str]


class FitCounts:
    """The counts over all files so far."""

    def __init__(self) -> None:
        self.rows = self.refused = self.warned = self.unreadable = 0
        self.findings: list[FileFault] = []
        self.files: list[FileFacts] = []
        self._rows_by_rule: Counter[_Key] = Counter()
        self._first: dict[_Key, Violation] = {}
        self._examples: dict[_Key, list[Example]] = {}

    def add_finding(self, finding: FileFault) -> None:
        """Count a row, or a file, that cannot be read."""
        self.unreadable += 1
        self.note(finding)

    def note(self, finding: FileFault) -> None:
        """Keep a finding, if there are not too many."""
        if len(self.findings) < _FINDINGS:
            self.findings.append(finding)

    def add(self, file: str, line: int, violations: Iterable[Violation]) -> None:
        """Count the violations of one row."""
        keys: set[_Key] = set()
        refuses = False
        for item in violations:
            key = (item.name, item.rule)
            refuses |= item.action is Action.REFUSE
            if key in keys:
                continue
            keys.add(key)
            self._first.setdefault(key, item)
            examples = self._examples.setdefault(key, [])
            if len(examples) < _EXAMPLES:
                examples.append(Example(file, line, item.field, item.value, item.measured))
        self._rows_by_rule.update(keys)
        if refuses:
            self.refused += 1
        elif keys:
            self.warned += 1

    def rules(self) -> tuple[RuleResult, ...]:
        """Return the rules that were broken, the most frequent first."""
        return tuple(
            RuleResult(
                name=key[0],
                rule=key[1],
                action=self._first[key].action,
                required=self._first[key].required,
                code=self._first[key].code,
                rows=count,
                examples=tuple(self._examples[key]),
            )
            for key, count in sorted(
                self._rows_by_rule.items(), key=lambda item: (-item[1], item[0])
            )
        )
