"""Control paragraphs are read as apt writes them, and nothing else is."""

import pytest

from mealkit.sources.debian.paragraphs import paragraphs


def test_reads_fields_continuations_and_comments():
    """Fields are lower-cased, continued lines keep their breaks, comments are skipped."""
    text = "\n\nTypes: deb\n# a comment\nURIs: one\n two\n\n \nField:\n a\n\tb\n"
    assert list(paragraphs(text)) == [{"types": "deb", "uris": "one\ntwo"}, {"field": "\na\nb"}]


def test_empty_text_has_no_paragraphs():
    """Nothing but blank lines yields nothing."""
    assert list(paragraphs("\n \n")) == []


@pytest.mark.parametrize("text", ["no field", " continues nothing", "A: 1\n\n continues nothing"])
def test_refuses_other_lines(text):
    """A line that is neither field nor continuation is refused, with the line."""
    with pytest.raises(ValueError, match=text.split("\n")[-1].strip()):
        list(paragraphs(text))
