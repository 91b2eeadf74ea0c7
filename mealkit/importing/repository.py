"""A model's files, as an importer sees them: names, sizes, and the small texts among them.

Pure. Reads what configs say and refuses to guess what they leave out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mealkit.kit.document import read_document
from mealkit.untrusted import UntrustedError, parse_json

_FENCE = "---"
_LONGEST_LICENSE = 200
_MOST_CARD_CHARACTERS = 256 * 1024
# The Hub's names of licences that SPDX has under another one; others differ by their case alone.
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
    """What the small files say that were asked for."""
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The metadata of GGUF files that were asked for."""
    pipeline_tag: str | None = None
    """What the Hub says that it is for."""

    @property
    def name(self) -> str:
        """The repository's name without its owner."""
        return self.repo.partition("/")[2]

    @property
    def card(self) -> Mapping[str, Any]:
        """The YAML at the head of README.md; empty if there is none."""
        text = self.texts.get("README.md", "").lstrip("\ufeff")
        head, fence, _ = text.removeprefix(f"{_FENCE}\n").partition(f"\n{_FENCE}")
        if not text.startswith(f"{_FENCE}\n") or not fence:
            return {}
        if len(head) > _MOST_CARD_CHARACTERS:
            return {}
        # The kit's own reader: with limits, and without what YAML can do beyond JSON. What it
        # refuses in one place of a card says nothing about the others.
        card = read_document(head, "README.md")[0].data
        return card if isinstance(card, dict) else {}

    @property
    def tag(self) -> str | None:
        """What the card or the Hub says that it is for: ``text-generation``, ..."""
        stated = self.card.get("pipeline_tag")
        return stated if isinstance(stated, str) else self.pipeline_tag

    def json(self, name: str) -> Any:
        """Return what a JSON file holds; an empty map if it is not there, or not JSON."""
        try:
            return parse_json(self.texts.get(name, "{}").encode(errors="surrogatepass"))
        except UntrustedError:
            return {}

    def map(self, name: str) -> Mapping[str, Any]:
        """Return the JSON object that a file holds; empty for anything else."""
        content = self.json(name)
        return content if isinstance(content, dict) else {}

    def config(self) -> Mapping[str, Any]:
        """Return config.json, with the text model's part above the rest."""
        whole = self.map("config.json")
        text = whole.get("text_config")
        return {**whole, **text} if isinstance(text, dict) else whole


def spdx(stated: Any, name: Any = None) -> str | None:
    """Return a licence as an SPDX identifier; None if the card names none.

    ``name`` is what the card calls a licence that the Hub has no name for.
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
