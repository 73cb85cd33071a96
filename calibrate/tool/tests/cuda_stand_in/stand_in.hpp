// What the stand-ins for CUDA's libraries share. The driver's holds all state; the others ask it.
//
// Device memory is host memory between pages that nobody may touch. Work on a stream is done by a
// thread of its own, a little late, so that whoever reads without waiting reads what was there before.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace stand_in {

// What the environment asks for under STAND_IN_<name>; `otherwise` if it asks for nothing.
long asked(const char *name, long otherwise);

// The code that STAND_IN_FAIL wants this call to end with, or 0. Its form is
// `CALL@N=CODE`, several parted by commas: the Nth call of that name fails; `@N+`: all from then on.
// `@FILE` names a file that holds it, read at every call.
int failure(const char *call);

// Says on standard error what a caller did wrong, where no error code can.
void complain(const std::string &what);

// Whether these bytes lie within one live piece of memory of this device; -1 is any device.
bool holds(const void *at, size_t bytes, int device);

struct Stream;
int device_of(const Stream *stream);
// Adds work to a stream; what it does wrong to memory loses the device.
void enqueue(Stream *stream, std::function<void()> work);
// Waits until all work of a stream is done.
void wait(Stream *stream);
// Loses a device: every later call on it ends with this code.
void lose(int device, int code);

}  // namespace stand_in
