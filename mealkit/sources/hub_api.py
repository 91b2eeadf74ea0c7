"""What the Hub's API answers about a repository: asked for with limits, and read into types.

Refuses an answer that is too long or takes too long, and one that is not of the form that the API
documents: https://huggingface.co/docs/hub/api. A file's name may be anything; who takes a file
refuses what no path can be.
"""

import time
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.kit.strings import Bytes, HubCommit
from mealkit.sources.client import require_answer, status_failure, transport_failure
from mealkit.untrusted import UntrustedError, parse_json_object

# Some 300 bytes are said of a file: a repository of twenty thousand files.
_MOST_BYTES = 8 * 1024 * 1024
_MOST_VALUES = 300_000
_MOST_SECONDS = 120
# What the Hub says of a token that it does not know; any other 401 is a repository that is private.
_BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105

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


def ask_repository(
    client: httpx2.Client,
    endpoint: str,
    repository: tuple[str, str],
    headers: Mapping[str, str],
) -> RepositoryAnswer:
    """Ask what a repository, given with its revision, has.

    Raises:
        SourceError: ``SOURCE_NOT_FOUND``, ``SOURCE_DENIED``, ``SOURCE_UNREACHABLE``,
            ``SOURCE_REDIRECTS``, ``SOURCE_INSECURE``, or ``SOURCE_ANSWER``: the answer is not of
            the API's form.
    """
    repo, revision = repository
    where = f"{repo}@{revision}"
    url = f"{endpoint}/api/models/{quote(repo)}/revision/{quote(revision, safe='')}?blobs=true"
    try:
        with client.stream("GET", url, headers=dict(headers)) as response:
            if response.status_code != 200:
                raise _refused(response, endpoint, where)
            require_answer(response, url, digest_expected=False)
            body = _bounded(response, where)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise transport_failure(error, endpoint) from error
    try:
        # Null stands for what is left out.
        form = parse_json_object(body, max_values=_MOST_VALUES)
        return RepositoryAnswer.model_validate(
            {name: value for name, value in form.items() if value is not None}
            | {"siblings": tuple(_listed(form))}
        )
    except (UntrustedError, ValidationError) as error:
        raise _unreadable(where, error) from error


def _listed(form: Mapping[str, object]) -> list[object]:
    siblings = form.get("siblings")
    if siblings is None:
        return []
    if not isinstance(siblings, list):
        raise UntrustedError("siblings is not a list")
    return siblings


def _bounded(response: httpx2.Response, where: str) -> bytes:
    until = time.monotonic() + _MOST_SECONDS
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > _MOST_BYTES or time.monotonic() > until:
            message = f"the Hub sends more than {_MOST_BYTES} bytes, or for {_MOST_SECONDS} seconds"
            raise failure("SOURCE_ANSWER", message, where=where)
    return bytes(body)


def _unreadable(where: str, error: ValueError) -> MealkitError:
    reason = str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        reason = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg'].lower()}"
    return failure("SOURCE_ANSWER", f"the Hub's answer cannot be read: {reason}", where=where)


def _refused(response: httpx2.Response, endpoint: str, where: str) -> MealkitError:
    code = response.headers.get("X-Error-Code")
    known_token = response.headers.get("X-Error-Message") != _BAD_TOKEN
    if code == "GatedRepo":
        return failure("SOURCE_DENIED", "the Hub wants its terms accepted first", where=where)
    if code == "RevisionNotFound":
        return failure("SOURCE_NOT_FOUND", "there is no such revision", where=where)
    if code == "RepoNotFound" or (response.status_code == 401 and known_token):
        return failure(
            "SOURCE_NOT_FOUND",
            "there is no such repository, or it is private",
            hint="correct model.weights in kit.yaml, or log in: hf auth login",
            where=where,
        )
    return status_failure(response.status_code, endpoint)
