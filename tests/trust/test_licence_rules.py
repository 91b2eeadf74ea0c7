"""Licences as SPDX expressions, against lists of allowed and denied ones."""

import pytest

from mealkit.trust.licence_rules import is_allowed


@pytest.mark.parametrize(
    ("licence", "allow", "deny", "allowed"),
    [
        ("Apache-2.0", ["Apache-2.0"], None, True),
        ("apache-2.0", ["Apache-2.0"], None, True),
        ("MIT", ["Apache-2.0"], None, False),
        ("MIT", None, ["GPL-3.0-only"], True),
        ("MIT", ["MIT"], ["MIT"], False),
        ("MIT OR GPL-3.0-only", ["MIT"], None, True),
        ("GPL-3.0-only OR MIT", ["MIT"], None, True),
        ("MIT OR GPL-3.0-only", None, ["GPL-3.0-only"], True),
        ("MIT AND GPL-3.0-only", ["MIT"], None, False),
        ("MIT AND GPL-3.0-only", None, ["GPL-3.0-only"], False),
        ("MIT OR ISC AND GPL-3.0-only", ["MIT"], None, True),
        ("(MIT OR ISC) AND GPL-3.0-only", ["MIT"], None, False),
        ("(MIT OR ISC) AND Zlib", ["ISC", "Zlib"], None, True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ["GPL-2.0-only"], None, True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", None, ["GPL-2.0-only"], False),
        (
            "GPL-2.0-only",
            ["GPL-2.0-only WITH Classpath-exception-2.0"],
            None,
            False,
        ),
        ("llama3.1", ["Llama3.1"], None, True),
        ("gemma", ["MIT"], None, False),
        ("MIT and nothing else", ["MIT"], None, False),
        ("LicenseRef-Own", ["LicenseRef-Own"], None, True),
        ("MIT AND gemma", None, ["gemma"], False),
        ("Apache-2.0, Llama-2-Community", None, ["llama-2-community"], False),
        ("MIT AND gemma", ["MIT", "gemma"], None, False),
        ("MIT AND gemmae", None, ["gemma"], True),
        ("GPL-3.0", None, ["GPL-3.0-only"], False),
        ("GPL-3.0-only", ["GPL-3.0"], None, True),
        ("GPL-3.0+", None, ["GPL-3.0-or-later"], False),
        ("GPL-3.0-or-later", None, ["GPL-3.0-only"], False),
        ("GPL-3.0-or-later", ["GPL-3.0-only"], None, True),
        ("GPL-3.0-only", ["GPL-3.0-or-later"], None, False),
        ("AGPL-3.0 OR MIT", None, ["AGPL-3.0-only"], True),
        ("LGPL-2.1-only", None, ["GPL-2.0-only"], True),
        ("(" * 500 + "MIT" + ")" * 500, ["MIT"], None, False),
        ("MIT OR " * 400 + "GPL-3.0-only", ["MIT"], None, False),
    ],
)
def test_a_licence_is_allowed(licence, allow, deny, allowed):
    """OR needs one side, AND both; what is not an expression is one licence; length is bounded."""
    assert is_allowed(licence, allow, deny) is allowed
