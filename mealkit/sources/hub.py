"""Weights on the Hugging Face Hub, or a server that speaks its API (``HF_ENDPOINT``).

The Hub's own client is asked what there is; the bytes come through our downloader, for the client
accepts a flipped byte and does not resume after a kill. Refuses a revision that is no commit.
"""

import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from mealkit import __version__
from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.kit.model import HubPlace
from mealkit.lock.origins import HubOrigin
from mealkit.sources.client import (
    Bounded,
    check_redirect,
    require_safe,
    status_failure,
    transport_failure,
)
from mealkit.sources.download import Advance
from mealkit.sources.place import PinnedFile, Supplies, require_digest, select
from mealkit.sources.ranges import FileRanges, HttpRanges, RangeReader

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_SECONDS = 60.0
# What the Hub says of a repository: some 300 bytes for each file.
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
# Nothing of this machine is told to the Hub: no versions of other libraries.
_USER_AGENT = {"user-agent": f"mealkit/{__version__}"}


@dataclass(frozen=True, slots=True)
class Listing:
    """What the Hub says of a repository at a commit."""

    commit: str
    sizes_bytes: Mapping[str, int]
    """Every file, by its name."""
    pipeline_tag: str | None
    """What it is for, in the Hub's words."""


class HubReader:
    """A repository at a revision; ``commit`` is what a lock resolved the revision to."""

    def __init__(self, place: HubPlace, supplies: Supplies, commit: str | None = None) -> None:
        self._place = place
        self._supplies = supplies
        self._known_commit = commit
        self._info: ModelInfo | None = None
        self._lock = threading.Lock()

    def pin(
        self, patterns: Sequence[str], asserted: Mapping[str, Digest], advance: Advance
    ) -> list[PinnedFile]:
        """Take the digests of large files from the Hub; download and hash the small ones."""
        siblings = {item.rfilename: item for item in self._model_info().siblings or ()}
        names = select(list(siblings), patterns, self._where)
        return [self._pinned(siblings[name], asserted.get(name), advance) for name in names]

    def listing(self) -> Listing:
        """Return everything that is there, without reading any of it.

        Raises:
            SourceError: the Hub cannot be asked, or states no commit.
        """
        info = self._model_info()
        sizes = {item.rfilename: item.size or 0 for item in info.siblings or ()}
        tag = info.pipeline_tag if isinstance(info.pipeline_tag, str) else None
        return Listing(self._commit(), sizes, tag)

    def origin(self, name: str) -> HubOrigin:
        """Return repository, commit and file."""
        return HubOrigin(repo=self._place.repo, commit=self._commit(), file=name)

    def fetch(self, name: str, expected: Digest, size_bytes: int, advance: Advance) -> Path:
        """Download a file at the commit and verify it."""
        url, headers = self._address(name)
        _, path = self._supplies.downloader.fetch(
            url, expected=expected, size_bytes=size_bytes, headers=headers, advance=advance
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
            self._known_commit = self._model_info().sha
        if self._known_commit is None:
            raise failure("SOURCE_ANSWER", "the Hub states no commit", where=self._where)
        return self._known_commit

    def _pinned(
        self, sibling: "RepoSibling", expected: Digest | None, advance: Advance
    ) -> PinnedFile:
        name, lfs = sibling.rfilename, sibling.lfs
        url, headers = self._address(name)
        downloader = self._supplies.downloader
        if lfs is None:
            digest, path = downloader.fetch(
                url, expected=expected, size_bytes=sibling.size, headers=headers, advance=advance
            )
            return PinnedFile(name, digest, path.stat().st_size, FileRanges(path))
        try:
            digest = Digest.from_hex(lfs.sha256)
        except ValueError as error:
            raise failure(
                "SOURCE_ANSWER", f"the Hub states no SHA-256 of {name}", where=self._where
            ) from error
        require_digest(name, expected, digest, self._where)
        cached = downloader.cache.path(digest)
        ranges: RangeReader = (
            FileRanges(cached) if cached else HttpRanges(downloader.client, url, headers)
        )
        if ranges.size_bytes != lfs.size:
            raise failure(
                "SOURCE_SIZE",
                f"{name}: the Hub states {lfs.size} bytes and serves {ranges.size_bytes}",
                hint="use a mirror, or tell whoever runs this Hub",
                where=self._where,
            )
        return PinnedFile(name, digest, lfs.size, ranges)

    def _address(self, name: str) -> tuple[str, dict[str, str]]:
        from huggingface_hub import constants, get_token, hf_hub_url  # noqa: PLC0415  late: slow

        if constants.is_offline_mode():
            raise self._offline()
        url = hf_hub_url(self._place.repo, name, revision=self._commit(), endpoint=_endpoint())
        token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
        return url, {"Authorization": f"Bearer {token}"} if token else {}

    def _model_info(self) -> "ModelInfo":
        with self._lock:
            if self._info is None:
                self._info = self._ask()
        stated = self._info.sha
        if _COMMIT.fullmatch(self._place.revision) and stated != self._place.revision:
            raise failure(
                "SOURCE_ANSWER", f"the Hub answers with commit {stated}", where=self._where
            )
        return self._info

    def _ask(self) -> "ModelInfo":
        from huggingface_hub import HfApi, errors  # noqa: PLC0415  late: slow to import

        endpoint = _endpoint()
        # What the Hub says of digests is believed, so nobody on the way may change it.
        require_safe(endpoint, digest_expected=False)
        _guard_session()
        try:
            return HfApi(endpoint=endpoint, headers=_USER_AGENT).model_info(
                self._place.repo,
                revision=self._place.revision,
                files_metadata=True,
                timeout=_TIMEOUT_SECONDS,
            )
        except errors.OfflineModeIsEnabled as error:
            raise self._offline() from error
        except errors.HfHubHTTPError as error:
            raise self._refused(error) from error
        except httpx2.HTTPError as error:
            raise transport_failure(error, endpoint) from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise failure(
                "SOURCE_ANSWER", "the Hub's answer cannot be read", where=self._where
            ) from error

    def _refused(self, error: "HfHubHTTPError") -> MealkitError:
        from huggingface_hub import errors  # noqa: PLC0415

        if isinstance(error, errors.GatedRepoError):
            return failure(
                "SOURCE_DENIED", "the Hub wants its terms accepted first", where=self._where
            )
        if isinstance(error, errors.RevisionNotFoundError):
            return failure("SOURCE_NOT_FOUND", "there is no such revision", where=self._where)
        if isinstance(error, errors.RepositoryNotFoundError):
            return failure(
                "SOURCE_NOT_FOUND",
                "there is no such repository, or it is private",
                hint="correct model.weights in kit.yaml, or log in: hf auth login",
                where=self._where,
            )
        return status_failure(error.response.status_code, _endpoint())

    def _offline(self) -> MealkitError:
        return failure(
            "SOURCE_UNREACHABLE",
            "the Hub is not asked, because HF_HUB_OFFLINE is set",
            hint="unset HF_HUB_OFFLINE, or add a mirror to kit.yaml",
            where=self._where,
        )


def _guard_session() -> None:
    """Have the Hub's own client follow redirects only to where they may lead, and read so much."""
    from huggingface_hub import get_session  # noqa: PLC0415  late: slow to import

    session = get_session()
    hooks = session.event_hooks
    known = hooks.get("response", [])
    added = [hook for hook in (check_redirect, _bound_answer) if hook not in known]
    if added:
        session.event_hooks = {**hooks, "response": [*known, *added]}


def _bound_answer(response: httpx2.Response) -> None:
    response.stream = Bounded(response.stream, _MAX_ANSWER_BYTES)


def _endpoint() -> str:
    from huggingface_hub import constants  # noqa: PLC0415  late: slow to import

    return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")
