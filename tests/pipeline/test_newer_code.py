"""Code that only a newer Python than this program's can read, while a kit is edited."""

import sys

import pytest

from mealkit.errors import MealkitError
from mealkit.pipeline.kit.code_syntax import require_readable
from mealkit.sources.machine_python import interpreters

NEWER = "type Words[T = int] = list[T]\n"


@pytest.mark.skipif(
    sys.version_info >= (3, 13) or not any(interpreters("3.13")),
    reason="needs an older Python, and Python 3.13 beside it",
)
def test_a_save_that_only_the_kits_python_can_refuse_is_refused():
    """Before the running version is replaced; what it can read is accepted."""
    require_readable({"handler.py": NEWER}, "3.13")
    with pytest.raises(MealkitError) as caught:
        require_readable({"handler.py": f"x = = 1\n{NEWER}"}, "3.13")
    assert (caught.value.problems[0].code, caught.value.problems[0].where) == (
        "KIT_INVALID",
        "handler.py:1",
    )
