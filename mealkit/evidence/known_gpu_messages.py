"""Known messages about GPUs, their drivers and their memory, with the problem that each means.

The first rule that matches decides, so specific rules come before general ones. The comment above
each rule is the place where the message was seen: ``NAME/NAME#1`` is
https://github.com/NAME/NAME/issues/1.
"""

from collections.abc import Sequence

from mealkit.evidence.rule import Rule, rule

_DRIVER: Sequence[Rule] = (
    # vllm-project/vllm#5635, ggml-org/llama.cpp#9665
    rule(
        r"unsatisfied condition: (?P<condition>[^,\n]+), please update your driver",
        "HOST_DRIVER_OLD",
        "the NVIDIA driver is too old for the image's CUDA version",
        required="{condition}",
    ),
    # lllyasviel/Fooocus#1313; the number is CUDA's: 11040 is 11.4
    rule(
        r"NVIDIA driver on your system is too old \(found version (?P<major>\d+)0(?P<minor>\d)0\)",
        "HOST_DRIVER_OLD",
        "the NVIDIA driver is too old for the kit's packages",
        measured="a driver for CUDA {major}.{minor}",
    ),
    # ollama/ollama#7666, abetlen/llama-cpp-python#763
    rule(
        r"CUDA driver version is insufficient for CUDA runtime version",
        "HOST_DRIVER_OLD",
        "the NVIDIA driver is too old for the kit's CUDA version",
    ),
    # vllm-project/vllm#4940, microsoft/onnxruntime#21435
    rule(
        r"forward compatibility was attempted on non supported HW",
        "HOST_DRIVER_OLD",
        "the image's newer CUDA libraries do not work with this GPU and driver (error 804)",
        hint="update the NVIDIA driver: only data-centre GPUs run a newer CUDA on an older driver",
    ),
    # NVIDIA/nvidia-container-toolkit#394, #171; ggml-org/llama.cpp#17542 (error 803)
    rule(
        r"(?i:driver/library version mismatch)"
        r"|system has unsupported display driver / cuda driver combination",
        "HOST_NVML_MISMATCH",
        "the NVIDIA driver in the kernel and its libraries have different versions",
    ),
    # NVIDIA/nvidia-container-toolkit#48, #1397
    rule(
        r"Failed to initialize NVML: (?P<why>Unknown Error|Insufficient Permissions)",
        "HOST_PERMISSIONS",
        "the container has no permission to use the GPU, or has lost it: {why}",
    ),
    # MeetKai/functionary#182; NVIDIA/nvidia-docker#1225, the driver does not answer the toolkit
    rule(
        r"libcuda\.so(\.1)?: cannot open shared object file"
        r"|nvidia-container-cli(\.real)?: initialization error: "
        r"(load library failed: libnvidia-ml|driver error)",
        "HOST_DRIVER_MISSING",
        "the NVIDIA driver's library cannot be found",
    ),
    # the other part of torch's message about drivers, see lllyasviel/Fooocus#1313
    rule(
        r"Found no NVIDIA driver on your system",
        "HOST_DRIVER_MISSING",
        "the machine has no NVIDIA driver, or the container cannot access it",
    ),
    # VERT-sh/vertd#39, NVIDIA/nvidia-container-toolkit#434
    rule(
        r"unresolvable CDI devices (?P<device>[\w./=-]+)",
        "HOST_CDI_MISSING",
        "no CDI spec describes {device}",
        required="a spec of {device} in /etc/cdi or /var/run/cdi",
    ),
    # NVIDIA/nvidia-docker#1352, infiniflow/ragflow#9573; NVIDIA/nvidia-docker#1190
    rule(
        r'could not select device driver "\w*" with capabilities'
        r'|exec: "nvidia-container-runtime": executable file not found',
        "HOST_TOOLKIT_MISSING",
        "the container client is not set up to pass GPUs to containers",
    ),
)

_GPU: Sequence[Rule] = (
    # vllm-project/vllm#5222, nagadit/DeepFaceLab_Linux#89
    rule(
        r"uncorrectable ECC error|CUDA_ERROR_ECC_UNCORRECTABLE",
        "HW_ECC",
        "the GPU's memory had an error that cannot be corrected",
    ),
    # JosephKJ/OWOD#81, wilicc/gpu-burn#1
    rule(
        r"GPU is lost|fallen off the bus",
        "HW_GPU_LOST",
        "the GPU no longer responds",
    ),
    # vllm-project/vllm#41848
    rule(
        r"invalid literal for int\(\) with base 10: '(?P<slice>MIG-[^']+)'",
        "HW_MIG",
        "the engine cannot use a MIG slice that is named by its id, {slice}",
        hint="set CUDA_VISIBLE_DEVICES to the slice's number (0), not to its id",
    ),
    # NVIDIA/nvidia-container-toolkit#842, #1363
    rule(
        r"NVMLError_NoPermission: Insufficient Permissions",
        "HW_MIG",
        "the engine needs the whole GPU, and this container has a MIG slice of it",
    ),
    # vllm-project/vllm#807, #29265; triton-inference-server/tensorrtllm_backend#336
    rule(
        r"No CUDA GPUs are available|no CUDA-capable device is detected"
        r"|Current node has no GPU available",
        "HW_NO_GPU",
        "the engine finds no GPU",
        measured="none",
        required="a GPU",
    ),
    # NVIDIA-NeMo/Skills#1059, vllm-project/vllm#29265
    rule(
        r"Tensor parallel size \((?P<wanted>\d+)\) (cannot be larger than the number of|exceeds)"
        r" available GPUs \((?P<seen>\d+)\)",
        "HW_GPU_COUNT",
        "the kit uses more GPUs than the container has",
        measured="{seen}",
        required="{wanted}",
    ),
    # vllm-project/vllm#15217, vllm-project/vllm#28873
    rule(
        r"world_size \((?P<wanted>\d+)\) (is less than than max local gpu count"
        r"|must be less than or equal to the number of visible devices) \((?P<seen>\d+)\)",
        "HW_GPU_COUNT",
        "the kit uses more GPUs than the container has",
        measured="{seen}",
        required="{wanted}",
    ),
    # vllm-project/vllm#4202, #4327
    rule(
        r"quantization method (?P<method>\S+) is not supported for the current GPU\. "
        r"Minimum capability: (?P<wanted>\d+)\. Current capability: (?P<seen>\d+)",
        "HW_COMPUTE_CAPABILITY",
        "the GPU is too old for weights quantised with {method}",
        measured="compute capability {seen}",
        required="{wanted}",
    ),
    # vllm-project/vllm#14040
    rule(
        r"the current GPU\.\s+Min capability: (?P<wanted>\d+)\..{0,9}"
        r"Current capability: (?P<seen>\d+)",
        "HW_COMPUTE_CAPABILITY",
        "the GPU is too old for how the weights are quantised",
        measured="compute capability {seen}",
        required="{wanted}",
    ),
    # vllm-project/vllm#1157, #1284
    rule(
        r"Bfloat16 is only supported on GPUs with compute capability of at least (?P<wanted>\d\.\d)"
        r"\. Your (?P<gpu>.{1,60}?) GPU has compute capability (?P<seen>\d+\.\d)",
        "HW_DTYPE",
        "the {gpu} cannot compute in bfloat16",
        measured="compute capability {seen}",
        required="{wanted}",
    ),
    # vllm-project/vllm#1284
    rule(
        r"GPUs with compute capability below (?P<wanted>\d+\.\d) are not supported",
        "HW_COMPUTE_CAPABILITY",
        "the GPU is too old for the engine",
        required="compute capability {wanted}",
    ),
    # Hellod035/LeggedLab#26; the next rule's message is in the same log; this one has numbers
    rule(
        r"with CUDA capability (?P<seen>sm_\d+) is not compatible with the current PyTorch"
        r" installation\.\s+The current PyTorch install supports CUDA capabilities"
        r" (?P<built>[\w ]+)",
        "HW_ARCHLIST",
        "the kit's PyTorch contains no code for this GPU",
        measured="{seen}",
        required="one of {built}",
    ),
    # vllm-project/vllm#1936, #16307; AMD: ROCm/legacy-rocm-build#1867
    rule(
        r"no kernel image is available for execution on the device|hipErrorNoBinaryForGpu",
        "HW_ARCHLIST",
        "the kit's packages contain no code for this GPU",
    ),
)

_FIT: Sequence[Rule] = (
    # vllm-project/tpu-inference#223, vllm-project/vllm#25350
    rule(
        r"max seq len \((?P<context>\d+)\), \((?P<wanted>[\d.]+ GiB) KV cache is needed, which is"
        r" larger than the available KV cache memory \((?P<seen>[\d.]+ GiB)\)\. Based on the"
        r" available memory, the estimated maximum model length is (?P<largest>\d+)",
        "FIT_CONTEXT",
        "the kit's context of {context} tokens does not fit into the GPU's memory",
        measured="{seen} for the KV cache",
        required="{wanted}",
        hint="use a GPU with more memory; the longest context that fits on this one is {largest}",
    ),
    # vllm-project/vllm#16118
    rule(
        r"max seq len \((?P<context>\d+)\), \((?P<wanted>[\d.]+ GiB) KV cache is needed, which is"
        r" larger than the available KV cache memory \((?P<seen>[\d.]+ GiB)\)",
        "FIT_CONTEXT",
        "the kit's context of {context} tokens does not fit into the GPU's memory",
        measured="{seen} for the KV cache",
        required="{wanted}",
    ),
    # vllm-project/vllm#10517
    rule(
        r"max seq len \((?P<wanted>\d+)\) is larger than the maximum number of tokens that can be"
        r" stored in KV cache \((?P<seen>\d+)\)",
        "FIT_CONTEXT",
        "the kit's context does not fit into the GPU's memory",
        measured="{seen} tokens",
        required="{wanted} tokens",
    ),
    # vllm-project/vllm#33297, #20305
    rule(
        r"Free memory on device\s?(?P<device>\S*) \((?P<seen>[\d.]+)/(?P<total>[\d.]+) GiB\) on"
        r" startup is less than desired GPU memory utilization \([\d.]+, (?P<wanted>[\d.]+ GiB)\)",
        "FIT_VRAM",
        "another program uses the GPU's memory, or it is too small",
        measured="{seen} GiB free of {total} GiB",
        required="{wanted}",
    ),
    # vllm-project/vllm#2248, #10439
    rule(
        r"No available memory for the cache blocks",
        "FIT_VRAM",
        "the GPU's memory is full before the KV cache is allocated",
    ),
    # pytorch/pytorch#16417; "capacty" in torch before 2.2: wxian3/NeuroLens#2
    rule(
        r"out of memory\. Tried to allocate (?P<wanted>[\d.]+ \w+)\. GPU \d+ has a total capaci?ty"
        r" of (?P<total>[\d.]+ \w+) of which (?P<seen>[\d.]+ \w+) is free",
        "FIT_VRAM",
        "the GPU ran out of memory",
        measured="{seen} free of {total}",
        required="{wanted} more",
    ),
    # pytorch/pytorch#59778
    rule(
        r"CUDA out of memory\. Tried to allocate (?P<wanted>[\d.]+ \w+) \(GPU \d+; (?P<total>[\d.]+"
        r" \w+) total capacity; .{0,60}?(?P<seen>[\d.]+ \w+) free",
        "FIT_VRAM",
        "the GPU ran out of memory",
        measured="{seen} free of {total}",
        required="{wanted} more",
    ),
    # ggml-org/llama.cpp#20431, #16725
    rule(
        r"allocating (?P<wanted>[\d.]+ MiB) on device (?P<device>\d+): cudaMalloc failed: out of",
        "FIT_VRAM",
        "GPU {device} ran out of memory",
        required="{wanted} more",
    ),
    # ollama/ollama#9782
    rule(
        r"(CUDA|HIP)( error:)? out of memory|CUDA_ERROR_OUT_OF_MEMORY",
        "FIT_VRAM",
        "the GPU ran out of memory",
    ),
)

GPU_RULES: Sequence[Rule] = (*_DRIVER, *_GPU, *_FIT)
