// What CUDA C needs to be C++: put before each kernel by the stand-in for NVRTC.
//
// Threads of a block run one after another; where a kernel has barriers, each is a fibre, and another
// goes on when one waits. A barrier that some thread of those meant never reaches is a trap.
#include <csetjmp>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <sched.h>
#include <type_traits>
#include <ucontext.h>
#include <utility>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __align__(bytes) __attribute__((aligned(bytes)))
// One block runs at a time.
#define __shared__ static

struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct __align__(16) float4 { float x, y, z, w; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
static dim3 gridDim, blockDim, blockIdx, threadIdx;

static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline unsigned __float_as_uint(float v) { unsigned u; memcpy(&u, &v, 4); return u; }
static inline float __uint_as_float(unsigned u) { float v; memcpy(&v, &u, 4); return v; }
static inline unsigned __popc(unsigned v) { return unsigned(__builtin_popcount(v)); }

// What stands for the few instructions that sources write out.
static inline unsigned long long stand_in_globaltimer() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    sched_yield();
    return 1000000000ull * t.tv_sec + t.tv_nsec;
}
static inline float stand_in_from_half(unsigned short h) {
    const unsigned sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31, rest = h & 0x3ffu;
    if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | rest << 13);
    const float size = exponent ? ldexpf(float(rest | 0x400u), int(exponent) - 25) : ldexpf(float(rest), -24);
    return sign ? -size : size;
}
// To nearest, ties to even, as the instruction does.
static inline unsigned short stand_in_to_half(float v) {
    const unsigned short sign = __float_as_uint(v) >> 16 & 0x8000u;
    const float size = fabsf(v);
    if (size == 0) return sign;
    if (size != size) return 0x7fff;
    if (size >= 65520.f) return sign | 0x7c00;
    int exponent;
    frexpf(size, &exponent);
    const int lowest = exponent - 11 < -24 ? -24 : exponent - 11;
    const unsigned count = unsigned(nearbyintf(ldexpf(size, -lowest)));
    return sign | (lowest == -24 ? count : ((unsigned(lowest + 24) << 10) + count));
}

namespace stand_in {

enum Waits { NO, WARP, BLOCK, DONE };
constexpr unsigned MOST = 1024, STACK = 64 << 10;
struct Fibre {
    jmp_buf at;
    ucontext_t first;
    bool made = false;
    Waits waits = DONE;
    unsigned turns = 0;
};
static Fibre fibres[MOST];
static uint64_t values[MOST / 32][2][32];
static jmp_buf scheduler;
static ucontext_t outer;
static unsigned running;
static bool trapped;
static void (*body)(void **);
static void **arguments;

// Ends one thread's turn. Whatever is in memory may be another when the next begins, which the
// compiler cannot see.
__attribute__((noipa)) static void rest(Waits why) {
    Fibre &me = fibres[running];
    me.waits = why;
    if (!_setjmp(me.at)) _longjmp(scheduler, 1);
}

// A fibre is made once, and runs a thread of each block.
static void live() {
    for (;;) {
        asm volatile("" ::: "memory");
        body(arguments);
        rest(DONE);
    }
}

__attribute__((noipa)) static void turn(unsigned thread) {
    Fibre &next = fibres[thread];
    running = thread;
    threadIdx.x = thread;
    next.waits = NO;
    if (_setjmp(scheduler)) return;
    if (next.made) _longjmp(next.at, 1);
    static char *stacks = static_cast<char *>(malloc(size_t(MOST) * STACK));
    next.made = true;
    getcontext(&next.first);
    next.first.uc_stack.ss_sp = stacks + size_t(thread) * STACK;
    next.first.uc_stack.ss_size = STACK;
    next.first.uc_link = nullptr;
    makecontext(&next.first, live, 0);
    swapcontext(&outer, &next.first);
}

// Lets threads go on that all wait for one another; whether there were any.
static bool release(unsigned from, unsigned to, Waits what, bool all_must_be_there) {
    bool any = false;
    for (unsigned t = from; t < to; t++) {
        const Waits waits = fibres[t].waits;
        if (waits == DONE && !all_must_be_there) continue;
        if (waits != what) return false;
        any = true;
    }
    for (unsigned t = from; any && t < to; t++)
        if (fibres[t].waits == what) fibres[t].waits = NO;
    return any;
}

// One block of threads that wait for one another; false if some wait for ever.
static bool with_barriers() {
    const unsigned n = blockDim.x;
    for (unsigned t = 0; t < n; t++) fibres[t].waits = NO, fibres[t].turns = 0;
    for (;;) {
        bool moved = false;
        unsigned done = 0;
        for (unsigned t = 0; t < n; t++) {
            if (fibres[t].waits == NO) turn(t), moved = true;
            done += fibres[t].waits == DONE;
        }
        if (done == n) return !trapped;
        for (unsigned w = 0; w < n; w += 32) moved |= release(w, w + 32 < n ? w + 32 : n, WARP, true);
        // Threads that have ended are not waited for by the block.
        moved |= release(0, n, BLOCK, false);
        if (!moved || trapped) return false;
    }
}

// What the lanes of a warp bring, for all of them to read.
static const uint64_t *exchange(uint64_t mine, unsigned mask) {
    if (mask != 0xffffffffu) trapped = true;
    Fibre &me = fibres[running];
    uint64_t *all = values[running / 32][me.turns++ % 2];
    all[running % 32] = mine;
    rest(WARP);
    return all;
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void **args, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A> *>(args[I])...);
}
template <class... A> static void unpack(void (*kernel)(A...), void **args) {
    call(kernel, args, std::index_sequence_for<A...>());
}
template <class... A> static constexpr unsigned count(void (*)(A...)) { return sizeof...(A); }
template <class F> struct Sizes;
template <class... A> struct Sizes<void (*)(A...)> { static inline unsigned each[] = {sizeof(A)...}; };

static void run(void (*kernel)(void **), const unsigned *grid, const unsigned *block, void **args, int *out) {
    static std::mutex *mutex = new std::mutex;
    std::lock_guard<std::mutex> lock(*mutex);
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    body = kernel, arguments = args, trapped = false;
    for (unsigned y = 0; y < grid[1]; y++)
        for (unsigned x = 0; x < grid[0]; x++) {
            blockIdx = {x, y, 0};
#ifdef STAND_IN_BARRIERS
            if (!with_barriers()) { *out = 1; return; }
#else
            for (threadIdx.x = 0; threadIdx.x < block[0]; threadIdx.x++) kernel(args);
#endif
        }
}

}  // namespace stand_in

static inline void __syncthreads() { stand_in::rest(stand_in::BLOCK); }
template <class V> static inline V __shfl_xor_sync(unsigned mask, V mine, int lanes) {
    static_assert(sizeof(V) == 4, "shuffles of 32 bits");
    uint64_t bits = 0;
    memcpy(&bits, &mine, 4);
    const unsigned lane = stand_in::running % 32;
    memcpy(&mine, &stand_in::exchange(bits, mask)[lane ^ unsigned(lanes)], 4);
    return mine;
}
static inline unsigned __ballot_sync(unsigned mask, bool mine) {
    const uint64_t *all = stand_in::exchange(mine, mask);
    unsigned found = 0;
    for (unsigned lane = 0; lane < 32; lane++) found |= unsigned(all[lane] != 0) << lane;
    return found;
}

// What the driver's stand-in looks for.
#define STAND_IN_EXPORT(kernel, threads)                                                        \
    static void stand_in_unpacked(void **args) { stand_in::unpack(kernel, args); }               \
    extern "C" unsigned stand_in_##kernel##_count = stand_in::count(kernel);                      \
    extern "C" unsigned stand_in_##kernel##_most_threads = threads;                               \
    extern "C" unsigned *stand_in_##kernel##_list() { return stand_in::Sizes<decltype(&kernel)>::each; } \
    extern "C" void stand_in_##kernel##_run(const unsigned *g, const unsigned *b, void **a, int *o) {    \
        stand_in::run(stand_in_unpacked, g, b, a, o);                                            \
    }
