"""The Python packages that an image needs to measure its kit's own claims, as pip writes them."""

from collections.abc import Iterator

from mealkit.acceptance.metric_table import METRICS
from mealkit.recipe.kit import Kit

BOUNDS = {
    "scikit-learn": "scikit-learn>=1.9",
    "scipy": "scipy>=1.17",
    "sacrebleu": "sacrebleu>=2.6",
    "rouge-score": "rouge-score>=0.0.4",
    "jiwer": "jiwer>=4",
    "pyarrow": "pyarrow>=26",
    "jsonschema-rs": "jsonschema-rs>=0.60",
}
"""The versions that mealkit itself is tested with, by package.

rouge-score: images get wheels only, and 0.0.4 is its last version with one. Newer ones tokenize and
count in the same way, so the scores are the same.
"""


def packages_of_tests(kit: Kit) -> tuple[str, ...]:
    """Return the requirements of a kit's tests, sorted; none unless its image has the tests."""
    if not kit.tests_in_image:
        return ()
    return tuple(sorted({BOUNDS[name] for name in _names(kit)}))


def _names(kit: Kit) -> Iterator[str]:
    for claim in kit.claims:
        traits = METRICS[claim.metric]
        yield from traits.packages
        if claim.data is not None and not traits.is_speed:
            yield "scipy"  # the interval of the measured value
    for entry in kit.datasets.values():
        # A pattern may match such a file; claims about other files do not need the package then.
        if any(name.endswith((".parquet", "*")) for name in entry.files):
            yield "pyarrow"
    if any(item.schema_ is not None for case in kit.cases for item in case.expect):
        yield "jsonschema-rs"
