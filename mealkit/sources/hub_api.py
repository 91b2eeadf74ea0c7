"""What the Hub says of a repository: its own client asks, with limits, and the answer is typed.

Refuses an answer that is too long, has too many values or leads elsewhere, and one that is not of
the form that the API documents: https://huggingface.co/docs/hub/api. A file's name may be anything;
who takes a file refuses what no path can be.
"""

from typing import TYPE_CHECKING, Annotated

import httpx2
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.strings import Bytes, HubCommit
from mealkit.untrusted import UntrustedError, parse_json
from mealkit.web.http_client import (
    USER_AGENT,
    Bounded,
    check_redirect,
    status_failure,
    transport_failure,
)

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

# Some 300 bytes are said of a file: a repository of twenty thousand files.
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_MAX_VALUES = 300_000
_TIMEOUT_SECONDS = 60.0
# Nothing of this machine is told to the Hub: no versions of other libraries.
_HEADERS = {"user-agent": USER_AGENT}

_FileName = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class LargeFile(_Form):
    """What the Hub says of a file that it keeps by its digest."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]
    size: Bytes

    @property
    def digest(self) -> Digest:
        """The digest of its bytes."""
        return Digest.from_hex(self.sha256)


class RepositoryFile(_Form):
    """A file of a repository."""

    name: Annotated[_FileName, Field(alias="rfilename")]
    size_bytes: Annotated[Bytes | None, Field(alias="size")] = None
    lfs: LargeFile | None = None


class RepositoryAnswer(_Form):
    """A repository at a commit."""

    commit: Annotated[HubCommit | None, Field(alias="sha")] = None
    files: Annotated[tuple[RepositoryFile, ...], Field(alias="siblings")] = ()
    pipeline_tag: Annotated[str, StringConstraints(max_length=128)] | None = None


def ask_repository(endpoint: str, repo: str, revision: str) -> RepositoryAnswer:
    """Ask the Hub what a repository has at a revision.

    Raises:
        SourceError: ``SOURCE_NOT_FOUND``, ``SOURCE_DENIED``, ``SOURCE_UNREACHABLE``,
            ``SOURCE_REDIRECTS``, ``SOURCE_INSECURE``, or ``SOURCE_ANSWER``: the answer is not of
            the API's form.
    """
    from huggingface_hub import HfApi, errors  # noqa: PLC0415  late: slow to import

    where = f"{repo}@{revision}"
    _guard_session()
    try:
        info = HfApi(endpoint=endpoint, headers=_HEADERS).model_info(
            repo, revision=revision, files_metadata=True, timeout=_TIMEOUT_SECONDS
        )
        files = [
            {"rfilename": item.rfilename, "size": item.size, "lfs": item.lfs and vars(item.lfs)}
            for item in info.siblings or ()
        ]
        return RepositoryAnswer.model_validate(
            {"sha": info.sha, "siblings": tuple(files), "pipeline_tag": info.pipeline_tag}
        )
    except errors.HfHubHTTPError as error:
        raise _refused(error, endpoint, where) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise transport_failure(error, endpoint) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _unreadable(where, error) from error


def _guard_session() -> None:
    """Have the Hub's own client follow redirects only to where they may lead, and read so much."""
    from huggingface_hub import get_session  # noqa: PLC0415  late: slow to import

    session = get_session()
    known = session.event_hooks.get("response", [])
    added = [hook for hook in (check_redirect, _check_answer) if hook not in known]
    if added:
        session.event_hooks = {**session.event_hooks, "response": [*known, *added]}


def _check_answer(response: httpx2.Response) -> None:
    """Read an answer with limits, before the client makes objects of it."""
    response.stream = Bounded(response, _MAX_ANSWER_BYTES)
    if response.status_code == 200 and response.request.method == "GET":
        parse_json(response.read(), max_values=_MAX_VALUES)


def _unreadable(where: str, error: Exception) -> MealkitError:
    reason = ""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        reason = f": {'.'.join(str(part) for part in first['loc'])}: {first['msg'].lower()}"
    elif isinstance(error, UntrustedError):
        reason = f": {error}"
    return failure("SOURCE_ANSWER", f"the Hub's answer cannot be read{reason}", where=where)


def _refused(error: "HfHubHTTPError", endpoint: str, where: str) -> MealkitError:
    from huggingface_hub import errors  # noqa: PLC0415  late: slow to import

    if isinstance(error, errors.GatedRepoError):
        return failure("SOURCE_DENIED", "the Hub wants its terms accepted first", where=where)
    if isinstance(error, errors.RevisionNotFoundError):
        return failure("SOURCE_NOT_FOUND", "there is no such revision", where=where)
    if isinstance(error, errors.RepositoryNotFoundError):
        return failure(
            "SOURCE_NOT_FOUND",
            "there is no such repository, or it is private",
            hint="correct model.weights in kit.yaml, or log in: hf auth login",
            where=where,
        )
    return status_failure(error.response.status_code, endpoint)
