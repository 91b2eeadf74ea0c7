"""Weights on the Hugging Face Hub, or on a server with the same API (``HF_ENDPOINT``).

The Hub's own client lists the files. mealkit's downloader gets the bytes, because the client
accepts a flipped byte and does not resume after a kill.
"""

import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.names import path_fault
from mealkit.recipe.origins import HubOrigin
from mealkit.recipe.weight_places import HubPlace
from mealkit.sources.hub_api import RepositoryAnswer, RepositoryFile, ask_repository
from mealkit.sources.ranges import FileRanges, HttpRanges, RangeReader
from mealkit.sources.source import PinnedFile, Supplies, require_digest, select
from mealkit.untrusted import shown
from mealkit.web.http_client import require_safe

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at a commit, as the Hub describes it."""

    commit: str
    sizes_bytes: Mapping[str, int]
    """Every file that a kit can use, by its name."""
    pipeline_tag: str | None
    """Its task, as the Hub names it."""


class HubReader:
    """A repository at a revision; ``commit`` is the commit to which a lock resolved it."""

    def __init__(self, place: HubPlace, supplies: Supplies, commit: str | None = None) -> None:
        self._place = place
        self._supplies = supplies
        self._known_commit = commit
        self._info: RepositoryAnswer | None = None
        self._lock = threading.Lock()

    def pin(self, patterns: Sequence[str], asserted: Mapping[str, Digest]) -> list[PinnedFile]:
        """Use the Hub's digests of large files; download and hash the small ones."""
        files = {item.name: item for item in self._repository().files}
        names = select(list(files), patterns, self._where)
        return [self._pinned(files[name], asserted.get(name)) for name in names]

    def listing(self) -> Listing:
        """Return all files of the repository, without reading them.

        Raises:
            SourceError: the Hub cannot be reached, or states no commit.
        """
        found = self._repository()
        sizes = {
            item.name: item.size_bytes or 0 for item in found.files if path_fault(item.name) is None
        }
        return Listing(self._commit(), sizes, found.pipeline_tag)

    def origin(self, name: str) -> HubOrigin:
        """Return repository, commit and file."""
        return HubOrigin(repo=self._place.repo, commit=self._commit(), file=name)

    def fetch(self, name: str, expected: Digest, size_bytes: int) -> Path:
        """Download a file at the commit and verify it."""
        url, headers = self._address(name)
        _, path = self._supplies.downloader.fetch(
            url, expected=expected, size_bytes=size_bytes, headers=headers
        )
        return path

    def notices(self) -> list[Problem]:
        """Return a problem if the revision is a branch or tag, with the commit it now means."""
        commit = self._commit()
        if self._place.revision == commit:
            return []
        return [
            problem(
                "SOURCE_UNPINNED",
                f"revision {self._place.revision!r} is commit {commit}",
                hint=f"write it into kit.yaml: revision: {commit}",
                where=self._where,
            )
        ]

    def close(self) -> None:
        """Do nothing: the downloader is the caller's."""

    @property
    def _where(self) -> str:
        return f"{self._place.repo}@{self._place.revision}"

    def _commit(self) -> str:
        if _COMMIT.fullmatch(self._place.revision):
            return self._place.revision
        if self._known_commit is None:
            self._known_commit = self._repository().commit
        if self._known_commit is None:
            raise failure("SOURCE_ANSWER", "the Hub states no commit", where=self._where)
        return self._known_commit

    def _pinned(self, file: RepositoryFile, expected: Digest | None) -> PinnedFile:
        name, lfs = file.name, file.lfs
        url, headers = self._address(name)
        downloader = self._supplies.downloader
        if lfs is None:
            if file.size_bytes is None:
                message = f"the Hub states no size of {shown(name)}"
                raise failure("SOURCE_ANSWER", message, where=self._where)
            digest, path = downloader.fetch(
                url, expected=expected, size_bytes=file.size_bytes, headers=headers
            )
            return PinnedFile(name, digest, path.stat().st_size, FileRanges(path))
        digest = lfs.digest
        require_digest(name, expected, digest, self._where)
        cached = downloader.cache.path(digest)
        ranges: RangeReader = (
            FileRanges(cached) if cached else HttpRanges(downloader.client, url, headers)
        )
        if ranges.size_bytes != lfs.size:
            raise failure(
                "SOURCE_SIZE",
                f"{name}: the Hub states {lfs.size} bytes and serves {ranges.size_bytes}",
                hint="use a mirror, or report it to the operator of this Hub",
                where=self._where,
            )
        return PinnedFile(name, digest, lfs.size, ranges)

    def _address(self, name: str) -> tuple[str, dict[str, str]]:
        from huggingface_hub import hf_hub_url  # noqa: PLC0415  late: slow to import

        headers = self._headers()
        url = hf_hub_url(self._place.repo, name, revision=self._commit(), endpoint=hub_endpoint())
        return url, headers

    def _headers(self) -> dict[str, str]:
        """Return the token that the Hub's own client would send; raise if HF_HUB_OFFLINE is set."""
        from huggingface_hub import constants, get_token  # noqa: PLC0415  late: slow to import

        if _is_offline():
            raise self._offline()
        token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _repository(self) -> RepositoryAnswer:
        with self._lock:
            if self._info is None:
                self._info = self._ask()
        stated = self._info.commit
        if _COMMIT.fullmatch(self._place.revision) and stated != self._place.revision:
            raise failure(
                "SOURCE_ANSWER", f"the Hub answers with commit {stated}", where=self._where
            )
        return self._info

    def _ask(self) -> RepositoryAnswer:
        endpoint = hub_endpoint()
        # mealkit trusts the digests from the Hub, so the connection must be protected.
        require_safe(endpoint, digest_expected=False)
        if _is_offline():
            raise self._offline()
        return ask_repository(endpoint, self._place.repo, self._place.revision)

    def _offline(self) -> MealkitError:
        return failure(
            "SOURCE_UNREACHABLE",
            "the Hub is not used, because HF_HUB_OFFLINE is set",
            hint="unset HF_HUB_OFFLINE, or add a mirror to kit.yaml",
            where=self._where,
        )


def _is_offline() -> bool:
    from huggingface_hub import constants  # noqa: PLC0415  late: slow to import

    return bool(constants.is_offline_mode())


def hub_endpoint() -> str:
    """Return the address of the Hub: ``HF_ENDPOINT``, or the public one."""
    from huggingface_hub import constants  # noqa: PLC0415  late: slow to import

    return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")
