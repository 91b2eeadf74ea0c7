"""Tests an image that was just built, and signs the result, so that it travels with the image."""

from mealkit.acceptance.report import Report
from mealkit.acceptance.target import TestListener, TestOptions
from mealkit.digest import Digest
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.kit_image import open_kit_image
from mealkit.pipeline.proof.kit_testing import TestRequest, test_kit
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.statements.attesting import attest, report_predicates
from mealkit.progress import Progress
from mealkit.trust.signing_keys import SigningKey


def test_built(
    digest: Digest,
    signer: SigningKey | None,
    home: Home,
    progress: Progress,
    listener: TestListener,
) -> Report:
    """Test an image of the local store; if all of it is true, sign the result with a key.

    Raises:
        MealkitError: it does not start here, or cannot be tested.
    """
    request = TestRequest(RunRequest(str(digest)), TestOptions())
    report = test_kit(request, home, progress, listener)
    if signer is not None and not report.failed:
        with open_kit_image(str(digest), home, progress) as kit:
            predicates = report_predicates(kit.lock, report)
        attest(str(digest), predicates, signer, home)
    return report
