// A stand-in for libcuda.so.1: the calls that calibrate makes, done by the CPU.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "memory.hpp"
#include "streams.hpp"

using namespace stand_in;

typedef int Result;
enum : int {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101,
    INVALID_IMAGE = 200, INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500,
    NOT_READY = 600,
};

struct Context { int device; };
// A module is a shared library made by the stand-in for NVRTC.
struct Function {
    Context *context;
    void (*run)(const unsigned *grid, const unsigned *block, void **args, int *trapped);
    const unsigned *sizes;
    unsigned count, most_threads;
};
struct Module { Context *context; void *library; };

static Context contexts[MOST_DEVICES];
static thread_local Context *current = nullptr;

static int devices() { return int(std::min<long>(asked("DEVICES", 1), MOST_DEVICES)); }
static size_t memory_of_one() { return size_t(asked("MEMORY_MIB", 2048)) << 20; }

// Every call begins so: it fails if the environment asks for it.
#define FAILS(name) \
    if (int code = failure(name)) return given(code)
// Codes that no GPU recovers from lose it.
static Result given(int code) {
    const int grave[] = {214, 700, 702, 710, 714, 715, 716, 718, 719};
    const bool loses = std::find(std::begin(grave), std::end(grave), code) != std::end(grave);
    if (current && loses) lose(current->device, code);
    return code;
}
// So do calls that need a context.
#define IN_CONTEXT(name)               \
    FAILS(name);                       \
    if (!current) return INVALID_CONTEXT; \
    if (int code = lost(current->device)) return code

EXPORT Result cuInit(unsigned) { FAILS("cuInit"); return devices() > 0 ? SUCCESS : NO_DEVICE; }
EXPORT Result cuDriverGetVersion(int *version) {
    FAILS("cuDriverGetVersion");
    *version = int(asked("DRIVER", 13000));
    return SUCCESS;
}
EXPORT Result cuDeviceGetCount(int *count) { FAILS("cuDeviceGetCount"); *count = devices(); return SUCCESS; }
EXPORT Result cuDeviceGet(int *device, int ordinal) {
    FAILS("cuDeviceGet");
    if (ordinal < 0 || ordinal >= devices()) return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}
EXPORT Result cuDeviceGetName(char *name, int room, int) {
    FAILS("cuDeviceGetName");
    snprintf(name, size_t(room), "NVIDIA stand-in for tests");
    return SUCCESS;
}
EXPORT Result cuDeviceGetAttribute(int *value, int attribute, int) {
    FAILS("cuDeviceGetAttribute");
    switch (attribute) {
        case 16: *value = 4; break;                                // SMs
        case 38: *value = int(asked("CACHE_KIB", 256)) << 10; break;  // L2
        case 75: *value = int(asked("MAJOR", 9)); break;
        case 76: *value = 0; break;
        default: return INVALID_VALUE;
    }
    return SUCCESS;
}
EXPORT Result cuDevicePrimaryCtxRetain(Context **context, int device) {
    FAILS("cuDevicePrimaryCtxRetain");
    contexts[device].device = device;
    *context = &contexts[device];
    return SUCCESS;
}
EXPORT Result cuCtxSetCurrent(Context *context) { FAILS("cuCtxSetCurrent"); current = context; return SUCCESS; }
EXPORT Result cuCtxEnablePeerAccess(Context *peer, unsigned) {
    IN_CONTEXT("cuCtxEnablePeerAccess");
    return peer == current ? INVALID_CONTEXT : SUCCESS;
}
EXPORT Result cuMemGetInfo_v2(size_t *free, size_t *total) {
    IN_CONTEXT("cuMemGetInfo_v2");
    *total = memory_of_one();
    *free = *total - std::min(*total, memory().in_use(current->device));
    return SUCCESS;
}

EXPORT Result cuMemAlloc_v2(uintptr_t *at, size_t bytes) {
    IN_CONTEXT("cuMemAlloc_v2");
    if (bytes == 0) return INVALID_VALUE;
    if (memory().in_use(current->device) + bytes > memory_of_one()) return OUT_OF_MEMORY;
    *at = uintptr_t(memory().take(bytes, current->device));
    return *at ? SUCCESS : OUT_OF_MEMORY;
}
EXPORT Result cuMemFree_v2(uintptr_t at) {
    IN_CONTEXT("cuMemFree_v2");
    return memory().give_back(reinterpret_cast<void *>(at)) ? SUCCESS : INVALID_VALUE;
}
EXPORT Result cuMemHostAlloc(void **at, size_t bytes, unsigned) {
    IN_CONTEXT("cuMemHostAlloc");
    *at = memory().take(bytes, HOST);
    return *at ? SUCCESS : OUT_OF_MEMORY;
}
EXPORT Result cuMemFreeHost(void *at) {
    IN_CONTEXT("cuMemFreeHost");
    return memory().give_back(at) ? SUCCESS : INVALID_VALUE;
}

// Copies that the host waits for go past streams, as real ones go past those that do not block.
static Result copy_now(void *to, const void *from, size_t bytes) {
    memcpy(to, from, bytes);
    return SUCCESS;
}
EXPORT Result cuMemcpyHtoD_v2(uintptr_t to, const void *from, size_t bytes) {
    IN_CONTEXT("cuMemcpyHtoD_v2");
    if (!holds(reinterpret_cast<void *>(to), bytes, -1)) return INVALID_VALUE;
    return copy_now(reinterpret_cast<void *>(to), from, bytes);
}
EXPORT Result cuMemcpyDtoH_v2(void *to, uintptr_t from, size_t bytes) {
    IN_CONTEXT("cuMemcpyDtoH_v2");
    if (!holds(reinterpret_cast<void *>(from), bytes, -1)) return INVALID_VALUE;
    return copy_now(to, reinterpret_cast<void *>(from), bytes);
}

static Result copy_later(void *to, const void *from, size_t bytes, Stream *stream) {
    if (!stream || device_of(stream) != current->device) return INVALID_HANDLE;
    enqueue(stream, [=] { memcpy(to, from, bytes); });
    return SUCCESS;
}
EXPORT Result cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t bytes, Stream *stream) {
    IN_CONTEXT("cuMemcpyDtoDAsync_v2");
    auto *target = reinterpret_cast<void *>(to), *source = reinterpret_cast<void *>(from);
    if (!holds(target, bytes, -1) || !holds(source, bytes, -1)) return INVALID_VALUE;
    return copy_later(target, source, bytes, stream);
}
EXPORT Result cuMemcpyPeerAsync(uintptr_t to, Context *there, uintptr_t from, Context *here,
                                size_t bytes, Stream *stream) {
    IN_CONTEXT("cuMemcpyPeerAsync");
    auto *target = reinterpret_cast<void *>(to), *source = reinterpret_cast<void *>(from);
    if (!holds(target, bytes, there->device) || !holds(source, bytes, here->device))
        return INVALID_VALUE;
    return copy_later(target, source, bytes, stream);
}
EXPORT Result cuMemcpyHtoDAsync_v2(uintptr_t to, const void *from, size_t bytes, Stream *stream) {
    IN_CONTEXT("cuMemcpyHtoDAsync_v2");
    auto *target = reinterpret_cast<void *>(to);
    if (!holds(target, bytes, -1) || !holds(from, bytes, HOST)) return INVALID_VALUE;
    return copy_later(target, from, bytes, stream);
}
EXPORT Result cuMemcpyDtoHAsync_v2(void *to, uintptr_t from, size_t bytes, Stream *stream) {
    IN_CONTEXT("cuMemcpyDtoHAsync_v2");
    auto *source = reinterpret_cast<void *>(from);
    if (!holds(source, bytes, -1) || !holds(to, bytes, HOST)) return INVALID_VALUE;
    return copy_later(to, source, bytes, stream);
}

EXPORT Result cuStreamCreate(Stream **stream, unsigned) {
    IN_CONTEXT("cuStreamCreate");
    *stream = open_stream(current->device);
    return SUCCESS;
}
EXPORT Result cuStreamSynchronize(Stream *stream) {
    IN_CONTEXT("cuStreamSynchronize");
    wait(stream);
    return lost(stream->device);
}
EXPORT Result cuStreamWaitEvent(Stream *stream, Event *event, unsigned) {
    IN_CONTEXT("cuStreamWaitEvent");
    wait_for(stream, event);
    return SUCCESS;
}
EXPORT Result cuEventCreate(Event **event, unsigned flags) {
    IN_CONTEXT("cuEventCreate");
    *event = new Event;
    (*event)->device = current->device;
    (*event)->timed = !(flags & 2);
    return SUCCESS;
}
EXPORT Result cuEventRecord(Event *event, Stream *stream) {
    IN_CONTEXT("cuEventRecord");
    if (event->device != stream->device) return INVALID_HANDLE;
    record(event, stream);
    return SUCCESS;
}
EXPORT Result cuEventElapsedTime_v2(float *ms, Event *start, Event *stop) {
    IN_CONTEXT("cuEventElapsedTime_v2");
    if (!start->timed || !stop->timed || !start->recorded || !stop->recorded) return INVALID_HANDLE;
    if (start->done < start->recorded || stop->done < stop->recorded) return NOT_READY;
    *ms = float((stop->at - start->at) * 1e3);
    return SUCCESS;
}

EXPORT Result cuModuleLoadData(Module **module, const void *image) {
    IN_CONTEXT("cuModuleLoadData");
    // After the mark of a program comes the path of the library.
    const char *path = static_cast<const char *>(image) + 4;
    if (memcmp(image, "\x7f" "ELF", 4)) return INVALID_IMAGE;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) { complain(dlerror()); return INVALID_IMAGE; }
    *module = new Module{current, library};
    return SUCCESS;
}
EXPORT Result cuModuleGetFunction(Function **function, Module *module, const char *name) {
    IN_CONTEXT("cuModuleGetFunction");
    const std::string prefix = std::string("stand_in_") + name;
    auto part = [&](const char *which) { return dlsym(module->library, (prefix + which).c_str()); };
    if (!part("_run")) return NOT_FOUND;
    *function = new Function{module->context, reinterpret_cast<decltype(Function::run)>(part("_run")),
                             reinterpret_cast<unsigned *(*)()>(part("_list"))(), *static_cast<unsigned *>(part("_count")),
                             *static_cast<unsigned *>(part("_most_threads"))};
    return SUCCESS;
}

EXPORT Result cuLaunchKernel(Function *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                             unsigned by, unsigned bz, unsigned shared, Stream *stream, void **args,
                             void **extra) {
    IN_CONTEXT("cuLaunchKernel");
    if (function->context != current || device_of(stream) != current->device) return INVALID_HANDLE;
    const bool one_axis = by == 1 && bz == 1 && gz == 1 && shared == 0 && !extra;
    if (!one_axis || !gx || !gy || gy > 65535 || !bx || bx > function->most_threads) return INVALID_VALUE;
    // The arguments are the caller's again when this returns.
    std::vector<std::vector<char>> kept;
    for (unsigned i = 0; i < function->count; i++) {
        auto *from = static_cast<char *>(args[i]);
        kept.emplace_back(from, from + function->sizes[i]);
    }
    enqueue(stream, [=]() mutable {
        std::vector<void *> pointers;
        for (auto &one : kept) pointers.push_back(one.data());
        const unsigned grid[] = {gx, gy, gz}, block[] = {bx, by, bz};
        int trapped = 0;
        function->run(grid, block, pointers.data(), &trapped);
        if (trapped) lose(device_of(stream), LAUNCH_FAILED);
    });
    return SUCCESS;
}

EXPORT Result cuGetErrorString(int code, const char **text) {
    switch (code) {
        case OUT_OF_MEMORY: *text = "out of memory"; break;
        case INVALID_VALUE: *text = "invalid argument"; break;
        case ILLEGAL_ADDRESS: *text = "an illegal memory access was encountered"; break;
        case LAUNCH_FAILED: *text = "unspecified launch failure"; break;
        default: *text = "as the environment asked";
    }
    return SUCCESS;
}
EXPORT Result cuGetErrorName(int, const char **text) { *text = "CUDA_ERROR"; return SUCCESS; }
