"""Pushes one blob to one repository: finds it there, mounts it from another, or uploads it.

The registry checks the digest. If it refuses the bytes, the error states whether the blob's source
or the registry is the cause. Protocol: distribution-spec v1.1, "Pushing blobs"; comments in
the code name the deviations of real registries.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import httpx2

from mealkit.errors import MealkitError, failure
from mealkit.jobs import Stop
from mealkit.oci.image import Blob
from mealkit.progress import Advance
from mealkit.stores.registry.client import RegistryClient
from mealkit.stores.registry.exchange import RegistryAnswer, RegistryCall
from mealkit.stores.registry.session import (
    PIECE_BYTES,
    Upload,
    closing,
    held_bytes,
    says_digest,
    within_limits,
)
from mealkit.stores.registry.upload_body import BlobRange, Meter
from mealkit.web.retry import TRANSIENT_STATUS

_STREAM = "application/octet-stream"


class Outcome(StrEnum):
    """How a blob got into the repository."""

    UPLOADED = "uploaded"
    EXISTING = "existing"
    MOUNTED = "mounted"


class _Cut(Exception):  # noqa: N818  continue from ``upload``, or with a new session
    def __init__(self, reason: MealkitError, upload: Upload | None) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.upload = upload


@dataclass(frozen=True, slots=True)
class Uploader:
    """Pushes blobs to a repository; ``mount_from`` are repositories in the same registry."""

    client: RegistryClient
    repository: str
    mount_from: Sequence[str]
    advance: Advance
    piece_bytes: int = PIECE_BYTES
    stop: Stop = field(default_factory=Stop)

    def put(self, blob: Blob) -> Outcome:
        """Ensure that the repository has the blob; ``advance`` gets its bytes, once each.

        Raises:
            RegistryError: ``REGISTRY_*``; ``REGISTRY_DIGEST`` if the registry is the cause.
            SourceError: ``SOURCE_CHANGED``: the blob's bytes no longer match its digest.
            StoppedError: ``stop`` was set.
        """
        if self._has(self.repository, blob):
            outcome = Outcome.EXISTING
        elif self._mounted(blob):
            outcome = Outcome.MOUNTED
        else:
            self._upload(blob, Meter(self.advance))
            return Outcome.UPLOADED
        self.advance(blob.size_bytes)
        return outcome

    def _has(self, repository: str, blob: Blob) -> bool:
        path = f"/v2/{repository}/blobs/{blob.digest}"
        answer = self.client.send(RegistryCall("HEAD", path, self._scopes(repository)))
        if answer.status == 404:
            return False
        if answer.status != 200:
            raise self.client.refusal(f"HEAD {blob.digest}", answer)
        size = answer.headers.get("content-length")
        return size is None or size == str(blob.size_bytes)

    def _mounted(self, blob: Blob) -> bool:
        """Request a mount from each repository that has the blob and allows reading it."""
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
            if answer.status == 201:
                return True
        return False

    def _scopes(self, other: str | None = None) -> tuple[str, ...]:
        """Return the scopes of a token: writing here and, for a mount, reading there."""
        own = f"repository:{self.repository}:pull,push"
        if other in {None, self.repository}:
            return (own,)
        return (own, f"repository:{other}:pull")

    def _upload(self, blob: Blob, meter: Meter) -> None:
        upload = self._start()
        failures = 0
        while True:
            before = upload.offset
            try:
                if upload.is_pieced:
                    self._pieces(blob, upload, meter)
                else:
                    self._whole(blob, upload, meter)
            except _Cut as cut:
                is_further = cut.upload is not None and cut.upload.offset > before
                failures = 1 if is_further else failures + 1
                if not self.client.retry.wait(failures):
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
        location = answer.headers.get("location")
        if answer.status != 202 or not location:
            raise self.client.refusal(f"POST an upload to {self.repository}", answer)
        return within_limits(Upload(location, piece_bytes=self.piece_bytes), answer)

    def _whole(self, blob: Blob, upload: Upload, meter: Meter) -> None:
        """Send everything with one PUT."""
        answer = self._send(
            "PUT", closing(upload.location, blob.digest), self._body(blob, 0, None, meter), upload
        )
        if answer.status in {200, 201, 204}:
            return
        if says_digest(answer):
            raise self._blame(blob, answer)
        if answer.status in {401, 403}:
            raise self.client.refusal(f"PUT {blob.digest}", answer)
        refusal = self.client.refusal(f"PUT {blob.digest} of {blob.size_bytes} bytes", answer)
        if answer.status == 404:  # the session no longer exists: the registry was restarted
            raise _Cut(refusal, None)
        # A proxy with a limit for bodies answers 413, and some registries accept only pieces: try
        # pieces once.
        raise _Cut(refusal, replace(self._start(), is_pieced=True))

    def _pieces(self, blob: Blob, upload: Upload, meter: Meter) -> None:
        """Send the rest with PATCH requests, then close with an empty PUT."""
        while upload.offset < blob.size_bytes:
            upload = self._piece(blob, upload, meter)
        call = closing(upload.location, blob.digest)
        answer = self._send("PUT", call, None, upload)
        if answer.status in {200, 201, 204}:
            return
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
                location = answer.headers.get("location", upload.location)
                return replace(upload, location=location, offset=held)
            case 404:
                raise _Cut(refusal, None)
            case 413 | 416 if upload.piece_bytes > upload.least_bytes:
                # 416 is either a wrong offset or, at GHCR, a piece above 4 MiB.
                known = self._status(upload) or self._start()
                half = max(upload.piece_bytes // 2, upload.least_bytes)
                return replace(known, is_pieced=True, piece_bytes=half)
            case _:
                raise refusal

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
            raise _Cut(refusal, self._status(upload))
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
        location = answer.headers.get("location", upload.location)
        return replace(upload, location=location, offset=held, is_pieced=True)

    def _body(self, blob: Blob, offset: int, length: int | None, meter: Meter) -> BlobRange:
        wanted = blob.size_bytes if length is None else length
        return BlobRange(blob, offset, wanted, meter, self.stop)

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
