"""The base score of CVSS 3.0 and 3.1 (FIRST, specification document 3.1, sections 7.1 and 7.4)."""

import math

_WEIGHTS = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_PRIVILEGES = {
    "U": {"N": 0.85, "L": 0.62, "H": 0.27},
    "C": {"N": 0.85, "L": 0.68, "H": 0.5},
}
# Section 5, "Qualitative Severity Rating Scale".
_RATINGS = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))


def rating_of(vector: str) -> str | None:
    """Return the rating of a vector; None if it is not a complete vector of CVSS 3."""
    score = base_score(vector)
    if score is None:
        return None
    return next((name for least, name in _RATINGS if score >= least), "none")


def base_score(vector: str) -> float | None:
    """Return the base score of a vector; None if it is not a complete vector of CVSS 3."""
    head, *parts = vector.split("/")
    if head not in {"CVSS:3.0", "CVSS:3.1"}:
        return None
    metrics = dict(part.partition(":")[::2] for part in parts)
    try:
        changed = {"U": False, "C": True}[metrics["S"]]
        value = {name: row[metrics[name]] for name, row in _WEIGHTS.items()}
        privileges = _PRIVILEGES[metrics["S"]][metrics["PR"]]
    except KeyError:
        return None
    missed = 1 - (1 - value["C"]) * (1 - value["I"]) * (1 - value["A"])
    impact = 6.42 * missed
    if changed:
        impact = 7.52 * (missed - 0.029) - 3.25 * (missed - 0.02) ** 15
    if impact <= 0:
        return 0.0
    exploitability = 8.22 * value["AV"] * value["AC"] * privileges * value["UI"]
    total = (1.08 if changed else 1.0) * (impact + exploitability)
    return _rounded_up(min(total, 10.0))


def _rounded_up(score: float) -> float:
    """Round up to one decimal (appendix A: integers, so that all computers agree)."""
    whole = round(score * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (math.floor(whole / 10_000) + 1) / 10
