"""What signing and verifying an image take beyond what a command takes anyway."""

import time
from collections.abc import Callable, Iterator

from benchmarks.figures import Row, Table, within
from benchmarks.lab import Lab
from mealkit.pipeline.home import home_at
from mealkit.pipeline.signatures.signing import sign
from mealkit.pipeline.signatures.verifying import Trusted, verify
from mealkit.trust.keyring import KeyRing, TrustedKey
from mealkit.trust.signing_keys import Algorithm, new_key, read_signing_key

_RUNS = 15
_BUDGET_SECONDS = 0.05
_NOTE = (
    "In one process, after its imports and with the key in memory: a command starts Python, and"
    " opens an encrypted key, which takes long on purpose. Nothing is hashed that a build or a pull"
    " has hashed."
)


def signatures(lab: Lab) -> Iterator[Table]:
    """Measure signatures by new keys, and their verification, of an image in the local store."""
    _, kit, _ = lab.first_build
    name = f"{kit.name}:1.0.0"
    with lab.warm_home("signing") as root:
        home = home_at(root)
        keys = [
            read_signing_key(new_key(Algorithm.ECDSA_P256, None)[0], "a key", lambda: b"")
            for _ in range(_RUNS)
        ]
        trusted = Trusted(KeyRing((TrustedKey(keys[0].public),)))
        sign(name, keys[0], home)
        signing = [_seconds(lambda key=key: sign(name, key, home)) for key in keys[1:]]
        verifying = [_seconds(lambda: verify(name, trusted, home)) for _ in range(_RUNS)]
    rows: list[Row] = []
    for what, samples in (("sign", signing), (f"verify, one of {_RUNS} signatures", verifying)):
        rows += within(what, sorted(samples)[len(samples) // 2], _BUDGET_SECONDS, samples)
    yield Table("Signatures", rows, [_NOTE])


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
