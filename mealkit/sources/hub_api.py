"""Reads a repository's description from the Hub, with its own client, limits and types.

Raises SourceError for an answer that is too long, has too many values or redirects elsewhere, or
that does not have the documented form: https://huggingface.co/docs/hub/api. Names of files are not
checked here; the code that uses a file checks its name.
"""

from functools import cache
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
    new_client,
    status_failure,
    transport_failure,
)

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

# The description of a file has some 300 bytes: enough for twenty thousand files.
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_MAX_VALUES = 300_000
_TIMEOUT_SECONDS = 60.0
# The Hub gets no information about this machine, such as versions of other libraries.
_HEADERS = {"user-agent": USER_AGENT}

_FileName = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class LargeFile(_Form):
    """The Hub's description of a file that it stores by its digest."""

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
    """Return the Hub's description of a repository at a revision.

    Raises:
        SourceError: ``SOURCE_NOT_FOUND``, ``SOURCE_DENIED``, ``SOURCE_UNREACHABLE``,
            ``SOURCE_REDIRECTS``, ``SOURCE_INSECURE``, or ``SOURCE_ANSWER``, the answer does
            not have the API's form.
    """
    from huggingface_hub import HfApi, errors  # noqa: PLC0415  late: slow to import

    where = f"{repo}@{revision}"
    _replace_client()
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


@cache
def _replace_client() -> None:
    """Give the Hub's library a client of ours, which checks redirects and limits answers."""
    from huggingface_hub import set_client_factory  # noqa: PLC0415  late: slow to import

    hooks = {"response": [check_redirect, _check_answer]}
    set_client_factory(
        lambda: new_client(follow_redirects=True, timeout=_TIMEOUT_SECONDS, event_hooks=hooks)
    )


def _check_answer(response: httpx2.Response) -> None:
    """Read an answer with limits, before the client parses it."""
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
        return failure(
            "SOURCE_DENIED", "the Hub requires that you accept its terms first", where=where
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return failure("SOURCE_NOT_FOUND", "the revision does not exist", where=where)
    if isinstance(error, errors.RepositoryNotFoundError):
        return failure(
            "SOURCE_NOT_FOUND",
            "the repository does not exist, or is private",
            hint="correct model.weights in kit.yaml, or log in: hf auth login",
            where=where,
        )
    return status_failure(error.response.status_code, endpoint)
