"""Pushes one blob to one repository: finds it there, mounts it from another, or uploads it.

The registry checks the digest. If it refuses the bytes, the error states whether the blob's source
or the registry is the cause. Protocol: distribution-spec v1.1, "Pushing blobs"; comments in
the code name the deviations of real registries.
"""

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum

import httpx2

from mealkit.errors import MealkitError, RegistryError, failure
from mealkit.jobs import Stop
from mealkit.oci.image import Blob
from mealkit.progress import Advance
from mealkit.stores.registry.client import MOST_SILENT_ATTEMPTS, RegistryClient
from mealkit.stores.registry.exchange import RegistryAnswer, RegistryCall
from mealkit.stores.registry.layer_limits import formed, limits_of
from mealkit.stores.registry.session import (
    PIECE_BYTES,
    Upload,
    closing,
    held_bytes,
    says_digest,
    within_limits,
)
from mealkit.stores.registry.unfinished import Record, UnfinishedUploads
from mealkit.stores.registry.upload_body import BlobRange, Meter
from mealkit.web.retry import TRANSIENT_STATUS, retry_after_seconds

_STREAM = "application/octet-stream"
_DONE = frozenset({200, 201, 202, 204})


class Outcome(StrEnum):
    """How a blob got into the repository."""

    UPLOADED = "uploaded"
    EXISTING = "existing"
    MOUNTED = "mounted"


class _Cut(Exception):  # noqa: N818  continue from ``upload``, or with a new session
    def __init__(
        self, reason: MealkitError, upload: Upload | None, asked_seconds: float | None = None
    ) -> None:
        """``asked_seconds`` is the registry's ``Retry-After``."""
        super().__init__(str(reason))
        self.reason = reason
        self.upload = upload
        self.asked_seconds = asked_seconds

    @property
    def is_silent(self) -> bool:
        """Whether the registry took a request and said nothing until the timeout."""
        return isinstance(self.__cause__, httpx2.ReadTimeout)


@dataclass(frozen=True, slots=True)
class Uploader:
    """Pushes blobs to a repository; ``mount_from`` are repositories in the same registry."""

    client: RegistryClient
    repository: str
    mount_from: Sequence[str]
    advance: Advance
    piece_bytes: int = PIECE_BYTES
    stop: Stop = field(default_factory=Stop)
    unfinished: UnfinishedUploads = field(default_factory=UnfinishedUploads)

    def put(self, blob: Blob) -> Outcome:
        """Ensure that the repository has the blob; ``advance`` gets its bytes, once each.

        Raises:
            RegistryError: ``REGISTRY_*``; ``REGISTRY_DIGEST`` if the registry is the cause.
            SourceError: ``SOURCE_CHANGED``: the blob's bytes no longer match its digest.
            StoppedError: ``stop`` was set.
        """
        meter = Meter(self.advance)
        outcome = Outcome.EXISTING
        if not self._has(self.repository, blob):
            with self._record(blob) as record:
                outcome = self._put_missing(blob, meter, record)
                record.forget()
        meter.reached(blob.size_bytes)
        return outcome

    def _record(self, blob: Blob) -> AbstractContextManager[Record]:
        return self.unfinished.record(
            self.client.endpoint.registry, self.repository, blob.digest, blob.size_bytes
        )

    def _put_missing(self, blob: Blob, meter: Meter, record: Record) -> Outcome:
        if self._continued(blob, meter, record):
            return Outcome.UPLOADED
        started = self._mounted(blob)
        if started is None:
            return Outcome.MOUNTED
        self._upload(blob, started, meter, record)
        return Outcome.UPLOADED

    def _continued(self, blob: Blob, meter: Meter, record: Record) -> bool:
        """Go on with the session of an earlier process, if the registry still has it."""
        location = record.location
        known = self._status(Upload(location, piece_bytes=self.piece_bytes)) if location else None
        if known is None or known.offset > blob.size_bytes:
            return False
        meter.reached(known.offset)
        try:
            self._upload(blob, known, meter, record)
        except RegistryError as error:
            if error.problems[0].code != "REGISTRY_DIGEST":
                raise
            return False  # what the registry had of it were other bytes
        return True

    def _has(self, repository: str, blob: Blob) -> bool:
        path = f"/v2/{repository}/blobs/{blob.digest}"
        answer = self.client.send(RegistryCall("HEAD", path, self._scopes(repository)))
        if answer.status == 404 or (answer.is_page and answer.status < 300):
            return False
        if answer.status == 405 or (answer.status != 200 and self.client.is_elsewhere(answer)):
            return self._can_read(path, repository, blob)
        if answer.status != 200:
            raise self.client.refusal(f"HEAD {blob.digest}", answer)
        size = answer.headers.get("content-length")
        if answer.digest is not None:
            return answer.digest == blob.digest and size in {None, str(blob.size_bytes)}
        if size is None:
            return self._can_read(path, repository, blob)
        return size == str(blob.size_bytes)

    def _can_read(self, path: str, repository: str, blob: Blob) -> bool:
        """Read the first byte: a storage's address may be signed for GET only, not for HEAD."""
        call = RegistryCall("GET", path, self._scopes(repository), {"Range": "bytes=0-0"})
        with self.client.open(call) as response:
            total = response.headers.get("content-range", "").rpartition("/")[2]
            return response.status_code == 206 and total == str(blob.size_bytes)

    def _mounted(self, blob: Blob) -> Upload | None:
        """Request a mount from each repository that has the blob and allows reading it.

        Return the session to upload the blob in, or None if it was mounted.
        """
        for source in dict.fromkeys(self.mount_from):
            if source == self.repository:
                continue
            try:
                if not self._has(source, blob):
                    continue
            except MealkitError:  # not readable with these credentials, or deleted
                continue
            path = f"/v2/{self.repository}/blobs/uploads/?mount={blob.digest}&from={source}"
            headers = {"Content-Length": "0"}
            answer = self.client.send(RegistryCall("POST", path, self._scopes(source), headers))
            if answer.status == 201 and self._is_taken(answer, blob):
                return None
            if answer.status == 202 and answer.location:  # not granted: it is a session instead
                return self._session(answer, answer.location)
        return self._start()

    def _scopes(self, other: str | None = None) -> tuple[str, ...]:
        """Return the scopes of a token: writing here and, for a mount, reading there."""
        own = f"repository:{self.repository}:pull,push"
        if other in {None, self.repository}:
            return (own,)
        return (own, f"repository:{other}:pull")

    def _upload(self, blob: Blob, upload: Upload, meter: Meter, record: Record) -> None:
        failures, silent, limits = 0, 0, limits_of(self.client.endpoint)
        while True:
            upload = formed(upload, blob.size_bytes, limits) or self._start()
            before = upload.offset
            record.remember(upload.location)
            try:
                if upload.is_pieced:
                    self._pieces(blob, upload, meter, record)
                else:
                    self._whole(blob, upload, meter)
            except _Cut as cut:
                is_further = cut.upload is not None and cut.upload.offset > before
                failures = 1 if is_further else failures + 1
                silent = cut.is_silent + (0 if is_further else silent)
                is_last = silent >= MOST_SILENT_ATTEMPTS
                if is_last or not self.client.retry.wait(failures, cut.asked_seconds):
                    raise cut.reason from cut
                # A server that refuses a large body may reset the connection before its answer is
                # read, so that the second try is made in pieces.
                upload = cut.upload or replace(self._start(), is_pieced=failures > 1)
            else:
                return

    def _start(self) -> Upload:
        path = f"/v2/{self.repository}/blobs/uploads/"
        answer = self.client.send(
            RegistryCall("POST", path, self._scopes(), {"Content-Length": "0"})
        )
        if answer.status != 202 or not answer.location:
            raise self.client.refusal(f"POST an upload to {self.repository}", answer)
        return self._session(answer, answer.location)

    def _session(self, answer: RegistryAnswer, location: str) -> Upload:
        return within_limits(Upload(location, piece_bytes=self.piece_bytes), answer)

    def _whole(self, blob: Blob, upload: Upload, meter: Meter) -> None:
        """Send everything with one PUT."""
        answer = self._send(
            "PUT", closing(upload.location, blob.digest), self._body(blob, 0, None, meter), upload
        )
        if answer.status in _DONE:
            return self._require_taken(answer, blob)
        if says_digest(answer):
            raise self._blame(blob, answer)
        if answer.status == 403:
            raise self.client.refusal(f"PUT {blob.digest}", answer)
        refusal = self.client.refusal(f"PUT {blob.digest} of {blob.size_bytes} bytes", answer)
        if answer.status == 404:  # the session no longer exists: the registry was restarted
            raise _Cut(refusal, None)
        if answer.status == 401:
            smaller = self._smaller(upload, blob.size_bytes)
            if smaller is None:
                raise refusal
            raise _Cut(refusal, smaller)
        # A proxy with a limit for bodies answers 413, and some registries accept only pieces: try
        # pieces once.
        raise _Cut(refusal, replace(self._start(), is_pieced=True))

    def _pieces(self, blob: Blob, upload: Upload, meter: Meter, record: Record) -> None:
        """Send the rest with PATCH requests, then close with an empty PUT."""
        while upload.offset < blob.size_bytes:
            upload = self._piece(blob, upload, meter)
            record.remember(upload.location)
        call = closing(upload.location, blob.digest)
        answer = self._send("PUT", call, None, upload)
        if answer.status in _DONE:
            return self._require_taken(answer, blob)
        if says_digest(answer):
            raise self._blame(blob, answer)
        refusal = self.client.refusal(f"PUT {blob.digest}", answer)
        raise _Cut(refusal, None) if answer.status == 404 else refusal

    def _piece(self, blob: Blob, upload: Upload, meter: Meter) -> Upload:
        length = min(upload.piece_bytes, blob.size_bytes - upload.offset)
        body = self._body(blob, upload.offset, length, meter)
        answer = self._send("PATCH", upload.location, body, upload)
        refusal = self.client.refusal(f"PATCH {blob.digest} at byte {upload.offset}", answer)
        match answer.status:
            case 200 | 201 | 202 | 204:  # the specification requires 202; ECR returns 201
                end = upload.offset + length
                held = held_bytes(answer, upload.offset + length)
                if not upload.offset < held <= end:
                    raise _Cut(refusal, None)
                return replace(upload, location=answer.location or upload.location, offset=held)
            case 404:
                raise _Cut(refusal, None)
            case 401 | 413 | 416 if smaller := self._smaller(upload, length):
                # 416 is either a wrong offset or, at GHCR, a piece above 4 MiB.
                return smaller
            case _:
                raise refusal

    def _smaller(self, upload: Upload, sent_bytes: int) -> Upload | None:
        """Return the session with half the bytes in a request; None if that is not possible.

        401 to a body whose token was new means that the token expired before the registry, or a
        proxy in front of it, had the whole body: a smaller one takes less time.
        """
        if sent_bytes <= upload.least_bytes:
            return None
        known = self._status(upload) or self._start()
        half = max(min(upload.piece_bytes, sent_bytes) // 2, upload.least_bytes)
        return replace(known, is_pieced=True, piece_bytes=half)

    def _send(
        self, method: str, path: str, body: BlobRange | None, upload: Upload
    ) -> RegistryAnswer:
        """Send a part of a session; raise ``_Cut`` with the state if it may succeed later."""
        headers = {"Content-Type": _STREAM, "Content-Length": "0"}
        if body is not None:
            headers["Content-Length"] = str(body.length)
            if method == "PATCH":
                headers["Content-Range"] = f"{body.offset}-{body.offset + body.length - 1}"
        call = RegistryCall(
            method, path, self._scopes(), headers, body.chunks if body else None, is_retried=False
        )
        try:
            answer = self.client.send(call)
        except httpx2.TransportError as error:
            raise _Cut(self.client.unreachable(error), self._status(upload)) from error
        if answer.status in TRANSIENT_STATUS:
            refusal = self.client.refusal(f"{method} of a blob to {self.repository}", answer)
            asked = retry_after_seconds(answer.headers)
            raise _Cut(refusal, self._status(upload), asked)
        return answer

    def _status(self, upload: Upload) -> Upload | None:
        """Ask the registry for the state of a session; None if the upload must start again."""
        try:
            answer = self.client.send(RegistryCall("GET", upload.location, self._scopes()))
        except MealkitError:
            return None
        held = held_bytes(answer, 0)
        if answer.status != 204 or not held:
            return None
        location = answer.location or upload.location
        return replace(upload, location=location, offset=held, is_pieced=True)

    def _body(self, blob: Blob, offset: int, length: int | None, meter: Meter) -> BlobRange:
        wanted = blob.size_bytes if length is None else length
        return BlobRange(blob, offset, wanted, meter, self.stop)

    def _require_taken(self, answer: RegistryAnswer, blob: Blob) -> None:
        if not self._is_taken(answer, blob):
            raise self.client.refusal(f"PUT {blob.digest}, which is not there", answer)

    def _is_taken(self, answer: RegistryAnswer, blob: Blob) -> bool:
        """Return whether an answer proves that the repository has the blob; else look there."""
        return answer.confirms(blob.digest) or self._has(self.repository, blob)

    def _blame(self, blob: Blob, answer: RegistryAnswer) -> MealkitError:
        """Read the blob again, to find the cause of a refused digest."""
        state = hashlib.sha256()
        for chunk in blob.chunks():
            state.update(chunk)
        found = f"sha256:{state.hexdigest()}"
        name = self.client.endpoint.registry
        if found != blob.digest:
            return failure(
                "SOURCE_CHANGED",
                f"the bytes of {blob.digest} now have digest {found}, and {name} refused them",
            )
        return failure(
            "REGISTRY_DIGEST",
            f"{name} reports other bytes for {blob.digest}: {self.client.words(answer)}",
            where=name,
        )
