"""Measures damage in a text: lost characters, repetition, wrong encodings, and signs of a scan.

Each measure is a share from 0 to 1 and takes time linear in the text. They are heuristics: a share
is compared with a limit that the kit's author chose on real data. How much they find and how often
they are wrong is measured in the tests, on texts in many languages.

ftfy was considered for wrong encodings. It would be one more package in the gateway of each kit
that uses the rule, and it finds more only for encodings other than Windows-1252 and Latin-1.
"""

import re

# What a decoder leaves behind, and control characters, which texts do not have.
_LOST = re.compile("[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])

# Ends of sentences and lines. One character of each is searched first: it is rarely there, and to
# find that out is many times faster than to replace what is not there.
_ENDS = (("\n", ".\n"), ("\n", "\n"), ("!", "! "), ("?", "? "))
_ENDS_ELSEWHERE = (
    *zip("\u3002\uff01\uff1f\u0964", "\u3002\uff01\uff1f\u0964", strict=True),
    ("\u061f", "\u061f "),
)
_LAST = " \t\r\n.!?\u3002\uff01\uff1f\u0964\u061f"
# Shorter lines, such as bullets, numbers and "Yes.", are repeated in good texts, too.
_SEGMENT_CHARACTERS = 8

# The bytes 80 to BF of UTF-8, as Windows-1252 or Latin-1 shows them.
_MARKS = "\u2018\u2019\u201a\u201c\u201d\u201e\u2022\u2026\u2013\u2014\u2039\u203a"
_SIGNS = (
    "\u20ac\u0192\u2020\u2021\u02c6\u2030\u0160\u0152\u017d\u02dc\u2122\u0161\u0153\u017e\u0178"
)
_SURE = f"\x80-\x9f\xa1-\xaa\xac\xae-\xba\xbc-\xbf{_SIGNS}"
"""Those that do not follow a letter in a good text, as quotes, dashes and spaces do."""
_ANY = f"\x80-\xbf{_SIGNS}{_MARKS}\ufffd"
_LEAD = re.compile(f"[\xc2-\xf0][{_ANY}]")
"""What every match of the next pattern begins with, which is searched many times faster."""
_MOJIBAKE = re.compile(
    rf"[\xc2-\xc5][{_SURE}]"  # a Latin letter or a sign
    rf"|[\xc2\xc3][\xa0\xab\xad\xbb]"
    rf"|[\xc3-\xc5](?<=[a-z].)[{_ANY}]"  # in a word, after a small letter
    rf"|\xe2[\u20ac\u201a\u02c6\u2020\u2022\u0161\u201e\u2030\u0153\x80-\x9f][{_ANY}]"  # a quote
    rf"|\xf0[\u0178\x9f][{_ANY}]{{2}}"  # an emoji
    rf"|\xef(?:\xbb\xbf|\xbf\xbd)"  # a byte order mark, a replacement character
    rf"|(?:[\xc3-\xdb][{_ANY}]){{3,}}"  # Greek, Cyrillic, Hebrew, Arabic: three letters or more
    rf"|(?:[\xe0-\xef][{_ANY}]{{2}}){{2,}}"  # Chinese, Japanese, Hindi: two or more
)

# A hyphen after a letter, a line's end or a space, and the word that follows. The engine finds the
# class quickly, so it comes before what looks back.
_HYPHEN = re.compile(
    r"[-\xad\u2010](?<=[^\W\d_].)(?:[ \t]{0,20}\r?\n[ \t]{0,20}| )(?=([^\W\d_]{1,30}))"
)
_LINE_CHARACTERS = 80
# After a hanging hyphen, as in "pre- and post-war": "and" and "or".
_AND = frozenset("and or nor to und oder bis et ou y o e en of och og i oraz lub nebo vagy".split())  # noqa: SIM905  readable

# A character that should be a letter, as in l0ve and th|s, between small letters.
_MISREAD = re.compile(r"[01568|\xa6\xac](?<=[a-z\xdf-\xff].)(?=[a-z\xdf-\xff])")
_FEW = 20
_NO_WORD = re.compile(r"[/@_=\\.:]\w|\d.*\d")
"""Addresses, paths and identifiers: they have digits between letters, and are not misread."""


def undecodable(text: str) -> float:
    """Return the share of characters that were lost: U+FFFD, and control characters."""
    if text.isascii():
        data = text.encode()
        return (len(data) - len(data.translate(None, _CONTROLS))) / (len(data) or 1)
    return len(_LOST.findall(text)) / len(text)


def repeated(text: str) -> float:
    """Return the share of lines and sentences that the text has already had."""
    text = text.rstrip(_LAST)
    for first, end in _ENDS if text.isascii() else (*_ENDS, *_ENDS_ELSEWHERE):
        if first in text:
            text = text.replace(end, ". ")
    lines = text.split(". ")
    if len(set(lines)) == len(lines):
        return 0.0
    segments = [line for line in lines if len(line) >= _SEGMENT_CHARACTERS]
    return 1 - len(set(segments)) / len(segments) if segments else 0.0


def mojibake(text: str) -> float:
    """Return the share of characters that come from UTF-8 read as Windows-1252 or Latin-1."""
    first = None if text.isascii() else _LEAD.search(text)
    if first is None:
        return 0.0
    return sum(len(found[0]) for found in _MOJIBAKE.finditer(text, first.start())) / len(text)


def broken_hyphenation(text: str) -> float:
    """Return the share of lines that end in the middle of a hyphenated word.

    Some tools join the lines and leave a space in the word: "infor- mation". So a line has at most
    80 characters here, wherever the text is broken.
    """
    if "-" not in text and text.isascii():
        return 0.0
    broken = sum(
        1 for found in _HYPHEN.finditer(text) if found[1][0].islower() and found[1] not in _AND
    )
    lines = max(text.count("\n") + 1, len(text) / _LINE_CHARACTERS)
    return min(1.0, broken / lines)


def _may_be_misread(text: str) -> bool:
    """Return whether a text has a suspicious character between letters.

    Most texts have few or none, which searching for each one finds out fastest.
    """
    if not text.isascii():
        return _MISREAD.search(text) is not None
    seen = 0
    for suspicious in "01568|":
        at = text.find(suspicious)
        while at >= 0:
            if text[at - 1 : at].islower() and text[at + 1 : at + 2].islower():
                return True
            seen += 1
            if seen > _FEW:
                return _MISREAD.search(text) is not None
            at = text.find(suspicious, at + 1)
    return False


def ocr_noise(text: str) -> float:
    """Return the share of words with a digit or a bar where a letter should be: l0ve, th|s."""
    if not _may_be_misread(text):
        return 0.0
    words = text.split()
    return sum(1 for word in words if _MISREAD.search(word) and not _NO_WORD.search(word)) / len(
        words
    )
