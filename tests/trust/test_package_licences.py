"""The licences that packages state are read from their metadata, and nothing is guessed."""

import pytest

from mealkit.trust.package_licences import debian_licences, wheel_licences

CLASSIFIER = "Classifier: License :: OSI Approved"


@pytest.mark.parametrize(
    ("metadata", "licences"),
    [
        ("Name: a\nLicense-Expression: MIT OR Apache-2.0\nLicense: x\n", ("MIT OR Apache-2.0",)),
        (
            f"{CLASSIFIER} :: MIT License\n{CLASSIFIER} :: Apache Software License\n",
            ("MIT", "Apache-2.0"),
        ),
        (f"{CLASSIFIER} :: BSD License\nLicense: BSD-3-Clause\n", ("BSD License",)),
        (f"{CLASSIFIER}\nLicense: BSD-3-Clause\n", ("BSD-3-Clause",)),
        ("License: Permission is hereby granted\n        to anyone\n", ()),
        (f"License: {'x' * 101}\n", ()),
        ("Name: a\n\nLicense: in the description\n", ()),
        ("", ()),
    ],
)
def test_a_wheel_states_an_expression_classifiers_or_a_name(metadata, licences):
    """The whole text of a licence is not its name."""
    assert wheel_licences(metadata) == licences


def test_a_debian_copyright_file_lists_the_licences_of_its_parts_once():
    """GNU's licences are written as SPDX writes them; text of no known form states nothing."""
    text = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Files: *
License: GPL-2+
 This is free software

Files: a
License: LGPL-2.1

Files: b
License: Expat

License: GPL-2+
 On Debian systems
"""
    assert debian_licences(text) == ("GPL-2.0-or-later", "LGPL-2.1-only", "MIT")
    assert debian_licences("This package is free.\nLicense: GPL-2\n") == ()
