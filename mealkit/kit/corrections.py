"""Computes from a value in the wrong format what was probably meant, so that a hint can say it.

No I/O. A correction is only offered if it has the field's own format; None if none has.
"""

import re
from collections.abc import Callable, Iterator, Sequence

# Longer values are not names, and not worth a search.
_MOST_CHARACTERS = 300
_EMAIL = re.compile(r"(?:mail|e-mail|email|mailto)?:?\s*<?([^@\s<>:]+@[^@\s<>]+)>?", re.IGNORECASE)
_NAMED_EMAIL = re.compile(r"<([^@\s<>:]+@[^@\s<>]+)>\Z")
_HOST = re.compile(r"(?:[a-z]+:/{0,3})?((?:[\w-]+\.)+[a-z]{2,}(?::\d+)?(?:/\S*)?)", re.IGNORECASE)
_ARXIV = re.compile(r"([0-9]{4}\.[0-9]{4,5}(?:v[0-9]+)?)")
_HUB = re.compile(r"(?:https?://)?(?:huggingface\.co|hf\.co)/(?:datasets/)?([^/\s]+/[^/\s?#]+)")
_NUMBERS = re.compile(r"([0-9]+\.[0-9]+)")
_HEX = re.compile(r"[0-9a-f]{32,128}")
_SIGNS = re.compile(r"[^a-z0-9._]+")
# What other programs call the choices of a kit: tasks, processors, sources and GPUs.
_OTHER_NAMES = {
    **dict.fromkeys(
        ("chat", "completion", "completions", "text-generation", "llm", "text2text-generation"),
        "generation",
    ),
    **dict.fromkeys(
        ("embed", "embedder", "feature-extraction", "sentence-similarity"), "embeddings"
    ),
    **dict.fromkeys(("classify", "text-classification", "sentiment-analysis"), "classification"),
    **dict.fromkeys(("rerank", "reranker", "text-ranking"), "reranking"),
    **dict.fromkeys(("regression", "custom"), "prediction"),
    **dict.fromkeys(("x86-64", "x64", "x86", "intel", "linux/amd64"), "amd64"),
    **dict.fromkeys(("aarch64", "armv8", "apple", "linux/arm64"), "arm64"),
    **dict.fromkeys(("local", "file", "path", "dir", "directory"), "folder"),
    **dict.fromkeys(("huggingface", "hf", "hugging-face", "huggingface-hub"), "hub"),
    **dict.fromkeys(("url", "https", "web"), "http"),
    **dict.fromkeys(("pip", "pypi", "package"), "wheel"),
    **dict.fromkeys(("yes", "true", "cuda"), "required"),
    **dict.fromkeys(("no", "false", "cpu"), "none"),
    "13": "trixie",
    "12": "bookworm",
}
_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}


def corrected(value: str, pattern: str) -> str | None:
    """Return what a value was probably meant to be, in the format of a regular expression."""
    try:
        expected = re.compile(pattern)
    except re.error:  # pydantic's own syntax is that of Rust
        return None
    text = value.strip()
    if not pattern or not text or len(text) > _MOST_CHARACTERS:
        return None
    for candidate in _candidates(text):
        if candidate != value and "\n" not in candidate and expected.search(candidate):
            return candidate
    return None


def meant_choices(value: str, choices: Sequence[str]) -> list[str]:
    """Return the choice that other programs call by this name, if there is one."""
    meant = _OTHER_NAMES.get(value.lower().replace("_", "-").replace(" ", "-"))
    return [meant] if meant is not None and meant in choices else []


def _candidates(text: str) -> Iterator[str]:
    yield text
    for found in (_ARXIV.search(text), _HUB.search(text)):
        if found:
            yield found[1].removesuffix(".git")
    yield from _hashes(text)
    yield from _addresses(text)
    yield from _handlers(text)
    if re.search(r"[=<>~]", text):  # a name with a version
        yield re.split(r"[=<>~!\s\[]", text)[0].lower()
    yield from _names(text)
    # A version after a name, or with more numbers, as in python3.13 and 3.13.2
    if numbers := _NUMBERS.search(text):
        yield numbers[1]
    yield text.upper()
    yield _CURRENCIES.get(text, text)
    yield text.replace(",", ".")
    yield re.split(r"\s", text)[0]


def _hashes(text: str) -> Iterator[str]:
    digits = text.lower().removeprefix("sha256").lstrip(":= ")
    if _HEX.fullmatch(digits):
        yield digits


def _addresses(text: str) -> Iterator[str]:
    if email := _EMAIL.fullmatch(text) or _NAMED_EMAIL.search(text):
        yield f"mailto:{email[1]}"
    if host := _HOST.fullmatch(text):
        yield f"https://{host[1]}"
        yield f"https://{host[1].rstrip('/')}/"
    yield re.split(r"[?#]", text)[0]


def _handlers(text: str) -> Iterator[str]:
    """Yield FILE.py:CLASS for a file, a module, or a dotted path to a class."""
    head, _, name = text.rpartition(":")
    if not head:
        head, _, name = text.rpartition(".")
        if name == "py":
            head, name = text, "Handler"
    file = head.removeprefix("./")
    if file and not file.endswith(".py"):
        file = f"{file.replace('.', '/')}.py"
    yield f"{file}:{name}"


def _names(text: str) -> Iterator[str]:
    """Yield the text as a name: in lower case, with one kind of sign between its words."""
    joins: tuple[Callable[[str], str], ...] = (
        lambda name: _SIGNS.sub("-", name),
        lambda name: _SIGNS.sub("-", name.replace("_", "-").replace(".", "-")),
        lambda name: re.sub(r"[^a-z0-9]+", "_", name),
    )
    for join in joins:
        yield re.sub(r"([._-])[._-]+", r"\1", join(text.lower())).strip("._-")
    yield re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")
