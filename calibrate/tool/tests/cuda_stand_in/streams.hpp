// Streams and events of the driver's stand-in.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "stand_in.hpp"

namespace stand_in {

constexpr int MOST_DEVICES = 8;
constexpr int ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719;

struct Stream {
    int device;
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void()>> queue;
    bool busy = false;
};

struct Event {
    int device;
    bool timed;
    std::mutex mutex;
    std::condition_variable changed;
    // How often it was recorded, and the last time that was reached.
    std::atomic<long> recorded{0};
    long done = 0;
    double at = 0;
};

Stream *open_stream(int device);
void record(Event *event, Stream *stream);
void wait_for(Stream *stream, Event *event);
// The code a device was lost with, or 0.
int lost(int device);
// Seconds.
double now();

}  // namespace stand_in
