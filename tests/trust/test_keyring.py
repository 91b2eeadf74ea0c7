"""A key counts for a time: a period for honest signers, a revocation for everyone."""

import pytest
from fakes.signatures import new_signer

from mealkit.errors import TrustError
from mealkit.trust.keyring import TrustedKey

KEY = new_signer().public
NOW = 2_000


@pytest.mark.parametrize(
    ("limits", "signed", "code"),
    [
        ({}, 1_000, None),
        ({}, None, None),
        ({"valid_from": 1_000, "valid_until": 1_500}, 1_000, None),
        ({"valid_until": 1_500}, 1_499, None),
        ({"valid_until": 1_500}, 1_500, "SIGNATURE_EXPIRED"),
        ({"valid_from": 1_000}, 999, "SIGNATURE_EXPIRED"),
        # Without a stated time the clock counts.
        ({"valid_until": 1_500}, None, "SIGNATURE_EXPIRED"),
        ({"valid_until": 2_001}, None, None),
        # A clock may be wrong by some minutes, not by more.
        ({}, NOW + 299, None),
        ({}, NOW + 301, "SIGNATURE_EXPIRED"),
        # A thief can state any time, so a revocation does not ask.
        ({"revoked_since": 2_000}, 1, "SIGNATURE_REVOKED"),
        ({"revoked_since": 2_001}, 1, None),
        ({"revoked_since": 1_000, "valid_until": 500}, 1, "SIGNATURE_REVOKED"),
    ],
)
def test_when_a_signature_counts(limits, signed, code):
    """A signature counts if its stated time is in the key's period, and no revocation is in force."""
    key = TrustedKey(KEY, "team.pub", **limits)
    if code is None:
        key.require_valid(signed, NOW)
        return
    with pytest.raises(TrustError) as caught:
        key.require_valid(signed, NOW)
    assert caught.value.problems[0].code == code
