"""A model's files for an importer: names, sizes, and the content of the small text files.

No I/O. Reads what configs state, and does not guess what they leave out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mealkit.kit.document import read_document
from mealkit.untrusted import UntrustedError, parse_json

# The YAML at the top of README.md, with any line breaks: huggingface_hub's repocard.py.
_CARD = re.compile(r"\s*---[ \t]*[\r\n]+(?P<head>.*?)[\r\n]+---[ \t]*(?:[\r\n]|\Z)", re.DOTALL)
_LONGEST_LICENSE = 200
_MOST_CARD_CHARACTERS = 256 * 1024
# The Hub's names of licences whose SPDX identifier is different; others differ only in their case.
# https://huggingface.co/docs/hub/repositories-licenses, https://spdx.org/licenses/
_SPDX = {
    "afl-3.0": "AFL-3.0",
    "agpl-3.0": "AGPL-3.0-only",
    "apache-2.0": "Apache-2.0",
    "artistic-2.0": "Artistic-2.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsl-1.0": "BSL-1.0",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc-by-nc-nd-4.0": "CC-BY-NC-ND-4.0",
    "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0",
    "cc-by-nd-4.0": "CC-BY-ND-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cc0-1.0": "CC0-1.0",
    "gpl-2.0": "GPL-2.0-only",
    "gpl-3.0": "GPL-3.0-only",
    "isc": "ISC",
    "lgpl-3.0": "LGPL-3.0-only",
    "mit": "MIT",
    "mpl-2.0": "MPL-2.0",
    "unlicense": "Unlicense",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at a commit."""

    repo: str
    """OWNER/NAME."""
    commit: str
    sizes_bytes: Mapping[str, int]
    """Every file, by its name."""
    texts: Mapping[str, str]
    """The content of the small files that were requested."""
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The metadata of the GGUF files that were requested."""
    pipeline_tag: str | None = None
    """The model's task on the Hub."""
    address: str = "https://huggingface.co"
    """The address of the Hub, without credentials."""

    @property
    def name(self) -> str:
        """The repository's name without its owner."""
        return self.repo.partition("/")[2]

    @property
    def card(self) -> Mapping[str, Any]:
        """The YAML at the top of README.md; empty if there is none."""
        match = _CARD.match(self.texts.get("README.md", "").lstrip("\ufeff"))
        if match is None:
            return {}
        head = match["head"]
        if len(head) > _MOST_CARD_CHARACTERS:
            return {}
        # The kit's own reader: it has limits, and rejects YAML that is not JSON. If one field of a
        # card is not valid, the others are still used.
        card = read_document(head.replace("\r\n", "\n").replace("\r", "\n"), "README.md")[0].data
        return card if isinstance(card, dict) else {}

    @property
    def tag(self) -> str | None:
        """The model's task in the card or on the Hub: ``text-generation``, ..."""
        stated = self.card.get("pipeline_tag")
        return stated if isinstance(stated, str) else self.pipeline_tag

    def json(self, name: str) -> Any:
        """Return the content of a JSON file; an empty map if it is missing or not valid JSON."""
        try:
            return parse_json(self.texts.get(name, "{}").encode(errors="surrogatepass"))
        except UntrustedError:
            return {}

    def is_readable(self, name: str) -> bool:
        """Return whether a file is missing, or valid JSON."""
        try:
            parse_json(self.texts.get(name, "{}").encode(errors="surrogatepass"))
        except UntrustedError:
            return False
        return True

    def map(self, name: str) -> Mapping[str, Any]:
        """Return the JSON object in a file; empty for anything else."""
        content = self.json(name)
        return content if isinstance(content, dict) else {}

    def config(self) -> Mapping[str, Any]:
        """Return config.json, with the text model's part merged over the rest."""
        whole = self.map("config.json")
        text = whole.get("text_config")
        return {**whole, **text} if isinstance(text, dict) else whole


def spdx(stated: Any, name: Any = None) -> str | None:
    """Return a licence as an SPDX identifier; None if the card names none.

    ``name`` is the card's name for a licence that the Hub does not list.
    """
    if not isinstance(stated, str) or not stated.strip() or stated == "unknown":
        return None
    plain = stated.strip().lower()
    if plain in _SPDX:
        return _SPDX[plain]
    called = name if plain == "other" and isinstance(name, str) and name.strip() else plain
    # https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/: letters, digits, "-", ".".
    letters = re.sub(r"[^A-Za-z0-9.-]", "-", called[:_LONGEST_LICENSE])
    return f"LicenseRef-{letters}"
