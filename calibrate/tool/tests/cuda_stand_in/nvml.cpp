// A stand-in for NVIDIA's management library: readings that never change, but for an idle clock.
#include "stand_in.hpp"

using namespace stand_in;

EXPORT int nvmlInit_v2() { return failure("nvmlInit_v2"); }
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned, void **device) {
    static int one;
    *device = &one;
    return failure("nvmlDeviceGetHandleByIndex_v2");
}
// The clock of a device that has been idle: STAND_IN_IDLE_READINGS readings of a fifth, then all of it.
EXPORT int nvmlDeviceGetClockInfo(void *, unsigned, unsigned *mhz) {
    static long readings = 0;
    *mhz = ++readings > asked("IDLE_READINGS", 0) ? 1000 : 200;
    return 0;
}
EXPORT int nvmlDeviceGetMaxClockInfo(void *, unsigned, unsigned *mhz) { *mhz = 1000; return 0; }
EXPORT int nvmlDeviceGetTemperature(void *, unsigned, unsigned *celsius) { *celsius = 40; return 0; }
EXPORT int nvmlDeviceGetPowerUsage(void *, unsigned *mw) { *mw = 100000; return 0; }
