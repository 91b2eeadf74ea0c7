"""Real messages about GPUs and their drivers mean the right problem, with their numbers.

The texts are quoted from the issues that are named beside them (``NAME/NAME#1`` on GitHub); hosts
are replaced.
"""

import pytest

from mealkit.evidence.known_gpu_messages import GPU_RULES

# (text, code, measured, required, a part of the message or hint)
REAL = [
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
]


@pytest.mark.parametrize(("text", "meant"), REAL)
def test_a_real_message_means_its_problem(means, text, meant):
    """Its code, its numbers, and an owner; the words themselves stay in the message."""
    means(text, meant)


def test_every_rule_is_tried_with_a_real_message():
    """A rule that no quoted text reaches is a guess."""
    texts = [param.values[0] for param in REAL]
    first = {next(rule for rule in GPU_RULES if rule.pattern.search(text)) for text in texts}
    # A fragment of a message above, for logs that are cut.
    assert [rule.pattern.pattern for rule in GPU_RULES if rule not in first] == [
        "Found no NVIDIA driver on your system"
    ]
