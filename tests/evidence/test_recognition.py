"""Real messages from the field mean the right problem, with their numbers, and nothing else does.

The texts are quoted from the issues that are named beside them (``NAME/NAME#1`` on GitHub); hosts
are replaced.
"""

import pytest

from mealkit.errors import CATALOGUE, Owner
from mealkit.evidence.known_messages import RULES
from mealkit.evidence.recognition import Evidence, last_words, recognise

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
        # vllm-project/vllm#5635
        "docker: Error response from daemon: failed to create task for container: failed to create"
        " shim task: OCI runtime create failed: runc create failed: unable to start container"
        " process: error during container init: error running hook #0: error running hook: exit"
        " status 1, stdout: , stderr: Auto-detected mode as 'legacy'\n"
        "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.4, please update"
        " your driver to a newer version, or use an earlier cuda container: unknown.",
        ("HOST_DRIVER_OLD", None, "cuda>=12.4", "too old"),
        id="container-cli-requirement",
    ),
    pytest.param(
        # lllyasviel/Fooocus#1313
        "RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please"
        " update your GPU driver by downloading and installing a new version from the URL:",
        ("HOST_DRIVER_OLD", "a driver for CUDA 11.4", None, "too old"),
        id="torch-driver-too-old",
    ),
    pytest.param(
        # abetlen/llama-cpp-python#763
        "web  | CUDA error 35 at /tmp/pip-install-iu4nd6_y/llama-cpp-python_ea6f0cbd4f6343bcbd9b3f"
        "d180bbd240/vendor/llama.cpp/ggml-cuda.cu:5522: CUDA driver version is insufficient for"
        " CUDA runtime version",
        ("HOST_DRIVER_OLD", None, None, "too old"),
        id="cuda-35",
    ),
    pytest.param(
        # gpustack/gpustack#1540
        "ERROR 03-26 05:25:01 engine.py:389] Unexpected error from cudaGetDeviceCount(). Did you"
        " run some cuda functions before calling NumCudaDevices() that might have already set an"
        " error? Error 804: forward compatibility was attempted on non supported HW",
        ("HOST_DRIVER_OLD", None, None, "error 804"),
        id="cuda-804",
    ),
    pytest.param(
        # NVIDIA/nvidia-container-toolkit#394
        "nvidia-container-cli: initialization error: nvml error: driver/library version mismatch:"
        " unknown.",
        ("HOST_NVML_MISMATCH", None, None, "restart the machine"),
        id="container-cli-mismatch",
    ),
    pytest.param(
        # tinygrad/open-gpu-kernel-modules#47
        "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.124",
        ("HOST_NVML_MISMATCH", None, None, "different versions"),
        id="nvml-mismatch",
    ),
    pytest.param(
        # ggml-org/llama.cpp#17542
        "ggml_cuda_init: failed to initialize CUDA: system has unsupported display driver / cuda"
        " driver combination",
        ("HOST_NVML_MISMATCH", None, None, "different versions"),
        id="cuda-803",
    ),
    pytest.param(
        # NVIDIA/nvidia-container-toolkit#48
        "Failed to initialize NVML: Unknown Error",
        ("HOST_PERMISSIONS", None, None, "Unknown Error"),
        id="container-lost-its-gpu",
    ),
    pytest.param(
        # MeetKai/functionary#182
        "ImportError: libcuda.so.1: cannot open shared object file: No such file or directory",
        ("HOST_DRIVER_MISSING", None, None, "--gpus all"),
        id="libcuda",
    ),
    pytest.param(
        # NVIDIA/nvidia-docker#1225
        'caused \\"process_linux.go:385: running prestart hook 1 caused \\"error running hook: exit'
        " status 1, stdout: , stderr: nvidia-container-cli.real: initialization error: driver"
        " error: failed to process request",
        ("HOST_DRIVER_MISSING", None, None, "driver"),
        id="container-cli-driver-error",
    ),
    pytest.param(
        # VERT-sh/vertd#39
        "Error response from daemon: failed to create task for container: failed to create shim"
        " task: OCI runtime create failed: could not apply required modification to OCI"
        " specification: error modifying OCI spec: failed to inject CDI devices: unresolvable CDI"
        " devices runtime.nvidia.com/gpu=all",
        ("HOST_CDI_MISSING", None, "a spec of runtime.nvidia.com/gpu=all", "nvidia-ctk cdi"),
        id="cdi",
    ),
    pytest.param(
        # NVIDIA/nvidia-container-toolkit#434
        "failed to inject CDI devices: unresolvable CDI devices nvidia.com/gpu=all: unknown.",
        ("HOST_CDI_MISSING", None, "a spec of nvidia.com/gpu=all in", "gpu=all"),
        id="cdi-rootless",
    ),
    pytest.param(
        # NVIDIA/nvidia-docker#1352
        'docker: Error response from daemon: could not select device driver "" with capabilities:'
        " [[gpu]].",
        ("HOST_TOOLKIT_MISSING", None, None, "NVIDIA Container Toolkit"),
        id="no-device-driver",
    ),
    pytest.param(
        # infiniflow/ragflow#9573
        'Error response from daemon: could not select device driver "nvidia" with capabilities:'
        " [[gpu]]",
        ("HOST_TOOLKIT_MISSING", None, None, "nvidia-ctk runtime configure"),
        id="no-nvidia-driver",
    ),
    pytest.param(
        # vllm-project/vllm#5222
        "RuntimeError: CUDA error: uncorrectable ECC error encountered\n"
        "CUDA kernel errors might be asynchronously reported at some other API call, so the"
        " stacktrace below might be incorrect.",
        ("HW_ECC", None, None, "memory had an error"),
        id="ecc",
    ),
    pytest.param(
        # JosephKJ/OWOD#81
        "Unable to determine the device handle for GPU 0000:02:00.0: GPU is lost. Reboot the"
        " system to recover this GPU",
        ("HW_GPU_LOST", None, None, "no longer responds"),
        id="gpu-lost",
    ),
    pytest.param(
        # wilicc/gpu-burn#1
        "[74889.644138] NVRM: Xid (PCI:0000:02:00): 79, GPU has fallen off the bus.",
        ("HW_GPU_LOST", None, None, "no longer responds"),
        id="xid-79",
    ),
    pytest.param(
        # vllm-project/vllm#41848
        "    return int(physical_device_id)\n           ^^^^^^^^^^^^^^^^^^^^^^^\n"
        "ValueError: invalid literal for int() with base 10:"
        " 'MIG-377e0049-554c-540b-93c6-d0976f8426cb'",
        ("HW_MIG", None, None, "MIG-377e0049-554c-540b-93c6-d0976f8426cb"),
        id="mig-id",
    ),
    pytest.param(
        # NVIDIA/nvidia-container-toolkit#842
        "    raise NVMLError(ret)\npynvml.NVMLError_NoPermission: Insufficient Permissions",
        ("HW_MIG", None, None, "slice"),
        id="mig-permission",
    ),
    pytest.param(
        # vllm-project/vllm#807
        "RuntimeError: No CUDA GPUs are available",
        ("HW_NO_GPU", "none", "a GPU", "finds no GPU"),
        id="no-gpu",
    ),
    pytest.param(
        # NVIDIA-NeMo/Skills#1059
        "Value error, Tensor parallel size (16) cannot be larger than the number of available GPUs"
        " (8)",
        ("HW_GPU_COUNT", "8", "16", "more GPUs"),
        id="tensor-parallel",
    ),
    pytest.param(
        # vllm-project/vllm#15217
        "RuntimeError: please ensure that world_size (2) is less than than max local gpu count (1)",
        ("HW_GPU_COUNT", "1", "2", "more GPUs"),
        id="world-size",
    ),
    pytest.param(
        # vllm-project/vllm#28873
        "(EngineCore_DP0 pid=570282) AssertionError: local_world_size (16) must be less than or"
        " equal to the number of visible devices (8).",
        ("HW_GPU_COUNT", "8", "16", "more GPUs"),
        id="local-world-size",
    ),
    pytest.param(
        # vllm-project/vllm#4202
        "ValueError: The quantization method awq is not supported for the current GPU. Minimum"
        " capability: 75. Current capability: 70.",
        ("HW_COMPUTE_CAPABILITY", "compute capability 70", "75", "awq"),
        id="quantisation-method",
    ),
    pytest.param(
        # vllm-project/vllm#14040
        "RuntimeError: ('Quantization scheme is not supported for ', 'the current GPU. Min"
        " capability: 80. ', 'Current capability: 75.')",
        ("HW_COMPUTE_CAPABILITY", "compute capability 75", "80", "quantised"),
        id="quantisation-scheme",
    ),
    pytest.param(
        # vllm-project/vllm#1284
        "RuntimeError: GPUs with compute capability below 7.0 are not supported.",
        ("HW_COMPUTE_CAPABILITY", None, "compute capability 7.0", "too old"),
        id="compute-capability",
    ),
    pytest.param(
        # verl-project/verl#2594
        "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0."
        " Your Tesla V100-SXM2-32GB GPU has compute capability 7.0. You can use float16 instead by"
        " explicitly setting the`dtype` flag in CLI, for example: --dtype=half.",
        ("HW_DTYPE", "compute capability 7.0", "8.0", "Tesla V100-SXM2-32GB"),
        id="bfloat16",
    ),
    pytest.param(
        # Hellod035/LeggedLab#26
        "NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current"
        " PyTorch installation.\nThe current PyTorch install supports CUDA capabilities sm_50 sm_60"
        " sm_70 sm_75 sm_80 sm_86 sm_90.\nIf you want to use the NVIDIA GeForce RTX 5090 GPU with"
        " PyTorch, please check the instructions\nRuntimeError: CUDA error: no kernel image is"
        " available for execution on the device",
        ("HW_ARCHLIST", "sm_120", "one of sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90", "PyTorch"),
        id="archlist",
    ),
    pytest.param(
        # vllm-project/vllm#1936
        "vllm_1   | RuntimeError: CUDA error: no kernel image is available for execution on the"
        " device",
        ("HW_ARCHLIST", None, None, "no code for this GPU"),
        id="no-kernel-image",
    ),
    pytest.param(
        # ROCm/legacy-rocm-build#1867
        '"hipErrorNoBinaryForGpu: Unable to find code object for all current devices!"',
        ("HW_ARCHLIST", None, None, "no code for this GPU"),
        id="hip-no-binary",
    ),
    pytest.param(
        # vllm-project/tpu-inference#223
        "ValueError: To serve at least one request with the models's max seq len (131072), (16.00"
        " GiB KV cache is needed, which is larger than the available KV cache memory (0.71 GiB)."
        " Based on the available memory, the estimated maximum model length is 5632. Try increasing"
        " `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine.",
        ("FIT_CONTEXT", "0.71 GiB for the KV cache", "16.00 GiB", "fits on this one is 5632"),
        id="kv-cache",
    ),
    pytest.param(
        # vllm-project/vllm#16118
        "ERROR 04-05 01:12:55 [core.py:390] ValueError: To serve at least one request with the"
        " models's max seq len (1048576), (24.00 GiB KV cache is needed, which is larger than the"
        " available KV cache memory (9.97 GiB). Try increasing `gpu_memory_utilization` or"
        " decreasing `max_model_len` when initializing the engine.",
        ("FIT_CONTEXT", "9.97 GiB for the KV cache", "24.00 GiB", "1048576 tokens"),
        id="kv-cache-without-estimate",
    ),
    pytest.param(
        # vllm-project/vllm#10517
        "The model's max seq len (29000) is larger than the maximum number of tokens that can be"
        " stored in KV cache (23648). Try increasing `gpu_memory_utilization` or decreasing"
        " `max_model_len` when initializing the engine.",
        ("FIT_CONTEXT", "23648 tokens", "29000 tokens", "context"),
        id="kv-cache-tokens",
    ),
    pytest.param(
        # vllm-project/vllm#33297
        "(EngineCore_DP0 pid=972) ERROR 01-28 15:59:42 [core.py:935] ValueError: Free memory on"
        " device cuda:0 (1.53/22.05 GiB) on startup is less than desired GPU memory utilization"
        " (0.9, 19.84 GiB). Decrease GPU memory utilization or reduce GPU memory used by other"
        " processes.",
        ("FIT_VRAM", "1.53 GiB free of 22.05 GiB", "19.84 GiB", "uses the GPU's memory"),
        id="free-memory",
    ),
    pytest.param(
        # vllm-project/vllm#20305
        "[multiproc_executor.py:492] ValueError: Free memory on device (31.44/47.38 GiB) on startup"
        " is less than desired GPU memory utilization (0.95, 45.01 GiB). Decrease GPU memory"
        " utilization or reduce GPU memory used by other processes.",
        ("FIT_VRAM", "31.44 GiB free of 47.38 GiB", "45.01 GiB", "uses the GPU's memory"),
        id="free-memory-unnamed-device",
    ),
    pytest.param(
        # vllm-project/vllm#10439
        "vllm-1  | ERROR 11-18 18:07:28 engine.py:366] ValueError: No available memory for the"
        " cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.",
        ("FIT_VRAM", None, None, "KV cache"),
        id="cache-blocks",
    ),
    pytest.param(
        # pytorch/pytorch#16417
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 22.00 MiB. GPU 0 has a"
        " total capacity of 23.65 GiB of which 11.06 MiB is free. Including non-PyTorch memory,"
        " this process has 23.60 GiB memory in use.",
        ("FIT_VRAM", "11.06 MiB free of 23.65 GiB", "22.00 MiB more", "ran out"),
        id="torch-out-of-memory",
    ),
    pytest.param(
        # kerrj/lerf#73
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.00 GiB. GPU 0 has a"
        " total capacty of 23.65 GiB of which 1.66 GiB is free.",
        ("FIT_VRAM", "1.66 GiB free of 23.65 GiB", "3.00 GiB more", "ran out"),
        id="torch-out-of-memory-misspelt",
    ),
    pytest.param(
        # pytorch/pytorch#59778
        "CUDA out of memory. Tried to allocate 2.26 GiB (GPU 0; 6.00 GiB total capacity; 781.59 MiB"
        " already allocated; 3.03 GiB free; 1.24 GiB reserved in total by PyTorch)",
        ("FIT_VRAM", "3.03 GiB free of 6.00 GiB", "2.26 GiB more", "ran out"),
        id="torch-out-of-memory-old",
    ),
    pytest.param(
        # ggml-org/llama.cpp#20431
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 144817.04 MiB on device 0:"
        " cudaMalloc failed: out of memory\n"
        "alloc_tensor_range: failed to allocate CUDA0 buffer of size 151851674624\n"
        "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
        ("FIT_VRAM", None, "144817.04 MiB more", "GPU 0"),
        id="ggml-out-of-memory",
    ),
    pytest.param(
        # ollama/ollama#9782
        '"Error: llama runner process has terminated: CUDA error: out of memory"',
        ("FIT_VRAM", None, None, "ran out"),
        id="cuda-out-of-memory",
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
def test_a_real_message_means_its_problem(text, meant):
    """Its code, its numbers, and an owner; the words themselves stay in the message."""
    code, measured, required, part = meant
    found = recognise(Evidence(f"INFO loading\n{text}\nbye", exit_code=1))
    assert found is not None
    assert found.code == code
    assert (found.measured, (found.required or "")[: len(required or "")] or None) == (
        measured,
        required,
    )
    assert part in f"{found.message}\n{found.hint}\n{found.required}"
    assert found.owner is CATALOGUE[code].owner
    assert "\n| bye" in found.message


def test_every_rule_is_tried_with_a_real_message():
    """A rule that no quoted text reaches is a guess."""
    texts = [param.values[0] for param in REAL]
    first = {next(rule for rule in RULES if rule.pattern.search(text)) for text in texts}
    unreached = [rule.pattern.pattern for rule in RULES if rule not in first]
    # Fragments of messages above, for logs that are cut.
    assert unreached == [
        "Found no NVIDIA driver on your system",
        "OfflineModeIsEnabled",
    ]


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


ORDINARY = """INFO 04-30 10:20:35 [monitor.py:33] torch.compile takes 13.93 s in total
Traceback (most recent call last):
  File "worker.py", line 3, in load
    self.model = json.loads(text)
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"""


def test_what_nobody_knows_is_not_guessed():
    """An ordinary traceback has no problem of its own; and a process that ended well has none."""
    assert recognise(Evidence(ORDINARY, exit_code=1)) is None
    assert recognise(Evidence("", signal_name="SIGTERM")) is None
    assert recognise(Evidence("", signal_name="SIGKILL")) is None
    assert recognise(Evidence("", signal_name="SIGSEGV")) is None
    assert recognise(Evidence("CUDA out of memory", exit_code=0)) is None


def test_killed_for_memory():
    """SIGKILL and a risen count: measured beside the limit, and the platform's to mend."""
    found = recognise(
        Evidence(
            "loading",
            signal_name="SIGKILL",
            killed_for_memory=True,
            memory_peak_bytes=64 * 2**20,
            memory_limit_bytes=64 * 2**20,
        )
    )
    assert (found.code, found.owner) == ("ENGINE_OUT_OF_MEMORY", Owner.PLATFORM)
    assert found.measured == "64.0 MiB in use at most"
    assert found.required == "more than the limit of 64.0 MiB"
    assert found.hint == "raise the container's memory limit above 64.0 MiB"
    assert found.message.endswith("\n| loading")


def test_killed_for_memory_without_a_limit():
    """Then it was the machine that ran out."""
    found = recognise(Evidence("", exit_code=137, killed_for_memory=True))
    assert (found.code, found.measured, found.required) == ("ENGINE_OUT_OF_MEMORY", None, None)
    assert "the machine ran out" in found.message


def test_another_process_of_the_group_was_killed():
    """A helper that was killed for memory does not explain an engine that failed by itself."""
    log = "RuntimeError: No CUDA GPUs are available"
    found = recognise(Evidence(log, signal_name="SIGABRT", killed_for_memory=True))
    assert found.code == "HW_NO_GPU"


# ggml-org/llama.cpp#20824; a build with AMX says so when it starts
AMX = "system_info: n_threads = 8 | AVX512 = 1 | AMX_INT8 = 1 | LLAMAFILE = 1 |"


@pytest.mark.parametrize(
    ("log", "end", "code"),
    [
        ("", {"signal_name": "SIGILL"}, "ENGINE_ILLEGAL_INSTRUCTION"),
        ("", {"exit_code": 132}, "ENGINE_ILLEGAL_INSTRUCTION"),
        (AMX, {"signal_name": "SIGSEGV"}, "ENGINE_ILLEGAL_INSTRUCTION"),
        (
            "0x00007ffff776f515 in ggml_backend_amx_mul_mat(ggml_compute_params",
            {"exit_code": 139},
            "ENGINE_ILLEGAL_INSTRUCTION",
        ),
        ("", {"signal_name": "SIGBUS"}, "HOST_SHM"),
    ],
)
def test_signals(log, end, code):
    """A signal means something by itself, or with what the engine said of its build."""
    assert recognise(Evidence(log, **end)).code == code


def test_shared_memory_is_measured():
    """The problem says how large the shared memory is."""
    found = recognise(Evidence("", signal_name="SIGBUS", shm_bytes=64 * 2**20))
    assert found.measured == "64.0 MiB at /dev/shm"


def test_the_cause_far_above_the_last_line_is_quoted():
    """Engines trace back several times over; the line that explains is shown with the last ones."""
    trace = "\n".join(f"  File {number}" for number in range(100))
    found = recognise(Evidence(f"RuntimeError: No CUDA GPUs are available\n{trace}", exit_code=1))
    lines = found.message.splitlines()
    assert lines[1:3] == ["| RuntimeError: No CUDA GPUs are available", "| ..."]
    assert lines[-1] == "|   File 99"
    assert len(lines) == 8


def test_long_lines_are_cut_but_not_the_cause():
    """A line of four thousand characters is quoted from where it begins to explain."""
    log = f"{'x' * 3900} libcuda.so.1: cannot open shared object file {'y' * 100}"
    found = recognise(Evidence(f"{log}\n" + "z\n" * 9, exit_code=1))
    assert len(found.message) < 2000
    assert found.message.splitlines()[1].startswith("| libcuda.so.1: cannot open")


def test_last_words():
    """Five lines, and nothing for an empty log."""
    assert last_words("") == ""
    assert last_words("\n".join("abcdefg")) == "\n| c\n| d\n| e\n| f\n| g"
