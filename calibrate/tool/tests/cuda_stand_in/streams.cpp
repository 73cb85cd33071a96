// Streams, events and what the environment asks for: the part of the driver's stand-in without
// CUDA's names.
#include "streams.hpp"

#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "memory.hpp"

namespace stand_in {

// Nothing here is ever destroyed: threads go on until the process ends.
Memory &memory() {
    static Memory *all = new Memory;
    return *all;
}

long asked(const char *name, long otherwise) {
    const char *value = getenv((std::string("STAND_IN_") + name).c_str());
    return value && *value ? strtol(value, nullptr, 10) : otherwise;
}

// What is to fail: what the variable says, or the file that it names after an @.
static std::string wanted_failures() {
    const char *wanted = getenv("STAND_IN_FAIL");
    if (!wanted || *wanted != '@') return wanted ? wanted : "";
    std::string line;
    std::getline(std::ifstream(wanted + 1), line);
    return line;
}

int failure(const char *call) {
    static std::mutex *mutex = new std::mutex;
    static auto *calls = new std::map<std::string, long>;
    static auto *last = new std::string;
    std::lock_guard<std::mutex> lock(*mutex);
    const std::string wanted = wanted_failures();
    if (wanted != *last) calls->clear(), *last = wanted;
    if (wanted.empty()) return 0;
    const long number = ++(*calls)[call];
    const std::string name = std::string(call) + "@";
    std::istringstream all(wanted);
    for (std::string one; std::getline(all, one, ',');) {
        if (one.compare(0, name.size(), name)) continue;
        char *rest;
        const long from = strtol(one.c_str() + name.size(), &rest, 10);
        const bool on = *rest == '+';
        if (number == from || (on && number > from)) return atoi(rest + on + 1);
    }
    return 0;
}

void complain(const std::string &what) { fprintf(stderr, "stand-in: %s\n", what.c_str()); }

bool holds(const void *at, size_t bytes, int device) {
    const int owner = memory().owner(at, bytes);
    return device == -1 ? owner >= 0 : owner == device;
}

static std::atomic<int> lost_with[MOST_DEVICES];

void lose(int device, int code) { lost_with[device] = code; }

int lost(int device) { return lost_with[device]; }

double now() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(since).count();
}

// Where a thread goes on when its work touches what is nobody's.
static thread_local sigjmp_buf landing;
static thread_local bool guarded = false;
static struct sigaction before[2];

static void caught(int signal, siginfo_t *, void *) {
    if (guarded) siglongjmp(landing, 1);
    // Not ours: as it was, and again.
    sigaction(signal, &before[signal == SIGBUS], nullptr);
}

static void guard() {
    struct sigaction ours = {};
    ours.sa_sigaction = caught;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &ours, &before[0]);
    sigaction(SIGBUS, &ours, &before[1]);
}

static void do_guarded(int device, const std::function<void()> &work) {
    if (lost(device)) return;
    if (sigsetjmp(landing, 1)) {
        guarded = false;
        lose(device, ILLEGAL_ADDRESS);
        return;
    }
    guarded = true;
    work();
    guarded = false;
    // Work is on a thread of its own: what lies behind a piece's end is looked at after each.
    if (memory().spoilt(device)) lose(device, ILLEGAL_ADDRESS);
}

static void works(Stream *stream) {
    const auto lag = std::chrono::microseconds(asked("LAG_US", 100));
    std::unique_lock<std::mutex> lock(stream->mutex);
    for (;;) {
        if (stream->queue.empty()) {
            stream->busy = false;
            stream->changed.notify_all();
            stream->changed.wait(lock, [&] { return !stream->queue.empty(); });
            lock.unlock();
            std::this_thread::sleep_for(lag);
            lock.lock();
        }
        auto work = std::move(stream->queue.front());
        stream->queue.pop_front();
        lock.unlock();
        do_guarded(stream->device, work);
        lock.lock();
    }
}

Stream *open_stream(int device) {
    static std::once_flag *once = new std::once_flag;
    std::call_once(*once, guard);
    auto *stream = new Stream;
    stream->device = device;
    std::thread(works, stream).detach();
    return stream;
}

int device_of(const Stream *stream) { return stream->device; }

void enqueue(Stream *stream, std::function<void()> work) {
    std::lock_guard<std::mutex> lock(stream->mutex);
    stream->queue.push_back(std::move(work));
    stream->busy = true;
    stream->changed.notify_all();
}

void wait(Stream *stream) {
    std::unique_lock<std::mutex> lock(stream->mutex);
    stream->changed.wait(lock, [&] { return !stream->busy; });
}

void record(Event *event, Stream *stream) {
    const long number = ++event->recorded;
    enqueue(stream, [event, number] {
        std::lock_guard<std::mutex> lock(event->mutex);
        event->at = now();
        event->done = number;
        event->changed.notify_all();
    });
}

void wait_for(Stream *stream, Event *event) {
    const long number = event->recorded;
    enqueue(stream, [event, number] {
        std::unique_lock<std::mutex> lock(event->mutex);
        event->changed.wait(lock, [&] { return event->done >= number; });
    });
}

}  // namespace stand_in
