"""Recognises small text files that stand for a large one: pointers of Git LFS and git-annex.

Formats: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md and
https://git-annex.branchable.com/internals/pointer_file/.
"""

import re
from dataclasses import dataclass

MAX_POINTER_BYTES = 32 * 1024
"""Larger files are no pointers."""

# Old pointers of Git LFS have the name that it had before, or that of its first host.
_LFS = re.compile(rb"version https?://(?:git-lfs|hawser|git-media)\.[^\s]{1,200}\r?\n")
_ANNEX = re.compile(rb"(?:\.\./)*(?:\.git)?/?annex/objects/[^\n]{1,4096}(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class Pointer:
    """A pointer: its kind, and how to get the file that it stands for."""

    kind: str
    fix: str


def pointer_in(data: bytes) -> Pointer | None:
    """Return the pointer that a file's content is; None if it is none."""
    if len(data) > MAX_POINTER_BYTES:
        return None
    if _LFS.match(data):
        return Pointer("a Git LFS pointer, not the file", "get the file itself: git lfs pull")
    if _ANNEX.match(data):
        return Pointer("a git-annex pointer, not the file", "get the file itself: git annex get")
    return None
