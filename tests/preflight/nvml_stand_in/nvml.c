/* A libnvidia-ml.so.1 that answers as a recorded machine did: a stand-in for NVIDIA's driver.
 *
 * The recording is the file that MEALKIT_NVML_MACHINE names: lines of "key = value", "#" begins a
 * comment. Keys of a GPU begin with "gpu.0." or, for all that have no line of their own, "gpu.*.";
 * those of a MIG device with "gpu.0.slice.1.". What has no line is NVML_ERROR_NOT_SUPPORTED (3).
 * Values: text; numbers, with "MiB" behind them if they count those; and in place of any value
 *   !15    the call returns that error
 *   hang   the call never returns
 *   crash  the call ends the process
 * Signatures and structures: NVML API Reference Manual, https://docs.nvidia.com/deploy/nvml-api/
 * Compiled with -DDRIVER=470 it lacks the functions that came after that driver.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef DRIVER
#define DRIVER 580
#endif

typedef int nvmlReturn_t;
typedef unsigned long long u64;
enum { OK = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       ARGUMENT_VERSION_MISMATCH = 25, UNINITIALIZED = 1 };

#define LINES 1024
#define GPUS 16
#define SLICES 8

static struct { char key[96], value[256]; } lines[LINES];
static int line_count = -1;
static int started;

/* A handle is the address of one of these. */
struct device { int gpu, slice; };
static struct device gpus[GPUS], slices[GPUS][SLICES];

static char *trimmed(char *text)
{
    text += strspn(text, " \t");
    char *end = text + strlen(text);
    while (end > text && strchr(" \t\r\n", end[-1])) *--end = 0;
    return text;
}

static void read_machine(void)
{
    if (line_count >= 0) return;
    line_count = 0;
    const char *path = getenv("MEALKIT_NVML_MACHINE");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) return;
    char line[512];
    while (line_count < LINES && fgets(line, sizeof line, file)) {
        char *comment = strchr(line, '#'), *equals = strchr(line, '=');
        if (comment) *comment = 0;
        if (!equals || (comment && equals > comment)) continue;
        *equals = 0;
        snprintf(lines[line_count].key, sizeof lines[0].key, "%s", trimmed(line));
        snprintf(lines[line_count].value, sizeof lines[0].value, "%s", trimmed(equals + 1));
        line_count++;
    }
    fclose(file);
}

/* The n-th value of a key, or NULL. */
static const char *find(const char *key, int nth)
{
    read_machine();
    for (int i = 0; i < line_count; i++)
        if (!strcmp(lines[i].key, key) && nth-- == 0) return lines[i].value;
    return NULL;
}

static const char *of_device(const struct device *device, const char *name, int nth)
{
    char key[128], rest[96];
    if (device->slice < 0) snprintf(rest, sizeof rest, "%s", name);
    else snprintf(rest, sizeof rest, "slice.%d.%s", device->slice, name);
    snprintf(key, sizeof key, "gpu.%d.%s", device->gpu, rest);
    const char *value = find(key, nth);
    if (value || nth) return value;
    snprintf(key, sizeof key, "gpu.*.%s", rest);
    return find(key, 0);
}

/* What a value says of the call itself. */
static nvmlReturn_t outcome(const char *value)
{
    if (!started) return UNINITIALIZED;
    if (!value) return NOT_SUPPORTED;
    if (value[0] == '!') return atoi(value + 1);
    if (!strcmp(value, "hang")) for (;;) pause();
    if (!strcmp(value, "crash")) raise(SIGSEGV);
    return OK;
}

static u64 number(const char *value)
{
    char *end;
    u64 result = strtoull(value, &end, 10);
    return strstr(end, "MiB") ? result << 20 : result;
}

static nvmlReturn_t text(const char *value, char *buffer, unsigned size)
{
    nvmlReturn_t result = outcome(value);
    if (result != OK) return result;
    if (strlen(value) >= size) return INSUFFICIENT_SIZE;
    strcpy(buffer, value);
    return OK;
}

static nvmlReturn_t count(const char *value, u64 *target)
{
    nvmlReturn_t result = outcome(value);
    if (result == OK) *target = number(value);
    return result;
}

static nvmlReturn_t flag(const char *value, unsigned *target)
{
    u64 found = 0;
    nvmlReturn_t result = count(value, &found);
    if (result == OK) *target = (unsigned)found;
    return result;
}

/* The machine */

nvmlReturn_t nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    started = 1;
    const char *value = find("init", 0);
    nvmlReturn_t result = value ? outcome(value) : OK;
    started = result == OK;
    return result;
}

nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

nvmlReturn_t nvmlShutdown(void) { started = 0; return OK; }

const char *nvmlErrorString(nvmlReturn_t result) { (void)result; return "Unknown Error"; }

nvmlReturn_t nvmlSystemGetNVMLVersion(char *buffer, unsigned size)
{
    int before = started;
    started = 1; /* needs no nvmlInit */
    nvmlReturn_t result = text(find("nvml", 0), buffer, size);
    started = before;
    return result;
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *buffer, unsigned size)
{
    return text(find("driver", 0), buffer, size);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version)
{
    return flag(find("cuda", 0), (unsigned *)version);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    const char *libcuda = find("libcuda", 0);
    return flag(libcuda ? libcuda : find("cuda", 0), (unsigned *)version);
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *target)
{
    const char *value = find("gpus", 0);
    return flag(value ? value : "0", target);
}

nvmlReturn_t nvmlSystemGetProcessName(unsigned pid, char *buffer, unsigned size)
{
    char key[64];
    snprintf(key, sizeof key, "process.%u", pid);
    const char *value = find(key, 0);
    return value ? text(value, buffer, size) : NOT_FOUND;
}

/* A GPU */

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **device)
{
    unsigned known = 0;
    nvmlReturn_t result = nvmlDeviceGetCount_v2(&known);
    if (result != OK) return result;
    if (index >= known || index >= GPUS) return INVALID_ARGUMENT;
    gpus[index].gpu = (int)index;
    gpus[index].slice = -1;
    *device = &gpus[index];
    const char *value = of_device(*device, "handle", 0);
    return value ? outcome(value) : OK;
}

nvmlReturn_t nvmlDeviceGetName(struct device *device, char *buffer, unsigned size)
{
    return text(of_device(device, "name", 0), buffer, size);
}

nvmlReturn_t nvmlDeviceGetUUID(struct device *device, char *buffer, unsigned size)
{
    return text(of_device(device, "uuid", 0), buffer, size);
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(struct device *device, int *major, int *minor)
{
    const char *value = of_device(device, "capability", 0);
    nvmlReturn_t result = outcome(value);
    if (result == OK && sscanf(value, "%d.%d", major, minor) != 2) return INVALID_ARGUMENT;
    return result;
}

struct memory { u64 total, free, used; };
struct memory_v2 { unsigned version; u64 total, reserved, free, used; };

static nvmlReturn_t memory(struct device *device, struct memory_v2 *found)
{
    nvmlReturn_t result = count(of_device(device, "memory_total", 0), &found->total);
    if (result == OK) result = count(of_device(device, "memory_free", 0), &found->free);
    if (result == OK) result = count(of_device(device, "memory_used", 0), &found->used);
    const char *reserved = of_device(device, "memory_reserved", 0);
    found->reserved = reserved ? number(reserved) : 0;
    return result;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(struct device *device, struct memory *target)
{
    struct memory_v2 found = {0};
    nvmlReturn_t result = memory(device, &found);
    if (result != OK) return result;
    target->total = found.total;
    target->free = found.free;
    target->used = found.used + found.reserved; /* as the first version counts it */
    return OK;
}

#if DRIVER >= 510
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(struct device *device, struct memory_v2 *target)
{
    if (target->version != (sizeof *target | 2u << 24)) return ARGUMENT_VERSION_MISMATCH;
    return memory(device, target);
}
#endif

nvmlReturn_t nvmlDeviceGetEccMode(struct device *device, unsigned *current, unsigned *pending)
{
    *pending = 0;
    return flag(of_device(device, "ecc", 0), current);
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(struct device *device, int kind, int counter, u64 *target)
{
    /* uncorrected and volatile is the only count that recordings have */
    if (kind != 1 || counter != 0) return NOT_SUPPORTED;
    return count(of_device(device, "ecc_uncorrected", 0), target);
}

nvmlReturn_t nvmlDeviceGetRemappedRows(struct device *device, unsigned *corrected,
                                       unsigned *uncorrected, unsigned *pending, unsigned *failed)
{
    nvmlReturn_t result = flag(of_device(device, "remapped_corrected", 0), corrected);
    if (result == OK) result = flag(of_device(device, "remapped_uncorrected", 0), uncorrected);
    if (result == OK) result = flag(of_device(device, "remap_pending", 0), pending);
    if (result == OK) result = flag(of_device(device, "remap_failed", 0), failed);
    return result;
}

nvmlReturn_t nvmlDeviceGetRetiredPagesPendingStatus(struct device *device, unsigned *pending)
{
    return flag(of_device(device, "retired_pages_pending", 0), pending);
}

nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(struct device *device, u64 *reasons)
{
    return count(of_device(device, "clock_reasons", 0), reasons);
}

#if DRIVER >= 535
nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(struct device *device, u64 *reasons)
{
    return count(of_device(device, "clock_reasons", 0), reasons);
}
#endif

/* Processes: "gpu.0.compute = PID MEMORY", a line for each */

struct process { unsigned pid; u64 memory; unsigned gpu_instance, compute_instance; };

static nvmlReturn_t processes(struct device *device, const char *kind, unsigned *room,
                              struct process *target)
{
    const char *value = of_device(device, kind, 0);
    nvmlReturn_t result = value ? outcome(value) : OK; /* nobody */
    if (result != OK) return result;
    unsigned found = 0;
    while (of_device(device, kind, (int)found)) found++;
    unsigned known = *room;
    *room = found;
    if (!found) return OK;
    if (known < found || !target) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < found; i++) {
        char *rest;
        value = of_device(device, kind, (int)i);
        target[i].pid = (unsigned)strtoul(value, &rest, 10);
        rest += strspn(rest, " ");
        target[i].memory = *rest == '-' ? ~0ULL : number(rest); /* "-": not available */
        target[i].gpu_instance = target[i].compute_instance = ~0u;
    }
    return OK;
}

#define RUNNING(NAME, KIND)                                                                   \
    nvmlReturn_t NAME(struct device *device, unsigned *room, struct process *target)          \
    {                                                                                         \
        return processes(device, KIND, room, target);                                         \
    }

RUNNING(nvmlDeviceGetComputeRunningProcesses_v2, "compute")
RUNNING(nvmlDeviceGetGraphicsRunningProcesses_v2, "graphics")
#if DRIVER >= 510
RUNNING(nvmlDeviceGetComputeRunningProcesses_v3, "compute")
RUNNING(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics")
#endif

/* MIG */

nvmlReturn_t nvmlDeviceGetMigMode(struct device *device, unsigned *current, unsigned *pending)
{
    nvmlReturn_t result = flag(of_device(device, "mig", 0), current);
    if (result == OK) *pending = *current;
    return result;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(struct device *device, unsigned *target)
{
    (void)device;
    *target = 7;
    return OK;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(struct device *device, unsigned index,
                                                 struct device **target)
{
    if (index >= SLICES) return INVALID_ARGUMENT;
    struct device *part = &slices[device->gpu][index];
    part->gpu = device->gpu;
    part->slice = (int)index;
    *target = part;
    const char *handle = of_device(part, "handle", 0);
    if (handle) return outcome(handle);
    return of_device(part, "uuid", 0) ? OK : NOT_FOUND;
}

struct attributes {
    unsigned multiprocessors, copy_engines, decoders, encoders, jpeg, ofa, gpu_slices,
        compute_slices;
    u64 memory_mb;
};

nvmlReturn_t nvmlDeviceGetAttributes_v2(struct device *device, struct attributes *target)
{
    memset(target, 0, sizeof *target);
    nvmlReturn_t result = flag(of_device(device, "multiprocessors", 0), &target->multiprocessors);
    if (result == OK) result = flag(of_device(device, "gpu_slices", 0), &target->gpu_slices);
    if (result == OK) result = flag(of_device(device, "compute_slices", 0), &target->compute_slices);
    if (result == OK) result = count(of_device(device, "memory_total", 0), &target->memory_mb);
    target->memory_mb >>= 20;
    return result;
}
