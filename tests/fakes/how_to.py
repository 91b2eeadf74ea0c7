"""The files that a page of the documentation shows, for tests that use them as a reader would."""

import re

from fakes.served import ROOT


def file_in(page: str, first_line: str) -> str:
    """Return the block of a page below ``docs`` that begins with this line."""
    text = (ROOT / "docs" / page).read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = (block for block in blocks if block.startswith(f"{first_line}\n"))
    return str(found)
