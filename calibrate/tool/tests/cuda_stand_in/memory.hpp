// Memory that notices who writes beside it.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <mutex>

#include "stand_in.hpp"

namespace stand_in {

constexpr int HOST = -2;
// As the driver aligns what it gives.
constexpr size_t ALIGNED = 256;
// What lies in memory that nobody wrote yet, and between its end and the page that nobody may touch.
constexpr int STALE = 0xCB, CANARY = 0xA7;

struct Piece {
    char *mapping;
    size_t mapped, bytes;
    int device;
};

// All live pieces by address.
class Memory {
  public:
    void *take(size_t bytes, int device) {
        const size_t page = size_t(sysconf(_SC_PAGESIZE));
        const size_t room = (bytes + page - 1) / page * page, mapped = room + 2 * page;
        void *mapping = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapping == MAP_FAILED) return nullptr;
        char *first = static_cast<char *>(mapping) + page;
        mprotect(first, room, PROT_READ | PROT_WRITE);
        char *at = first + (room - (bytes + ALIGNED - 1) / ALIGNED * ALIGNED);
        memset(first, STALE, room);
        memset(at + bytes, CANARY, first + room - (at + bytes));
        std::lock_guard<std::mutex> lock(mutex);
        pieces[uintptr_t(at)] = {static_cast<char *>(mapping), mapped, bytes, device};
        if (device >= 0) used[device] += bytes;
        return at;
    }

    bool give_back(void *at) {
        std::lock_guard<std::mutex> lock(mutex);
        auto found = pieces.find(uintptr_t(at));
        if (found == pieces.end()) return false;
        const Piece &piece = found->second;
        if (piece.device >= 0) used[piece.device] -= piece.bytes;
        munmap(piece.mapping, piece.mapped);
        pieces.erase(found);
        return true;
    }

    // The device that these bytes are on, all in one piece: HOST for the host's, -1 for nobody's.
    int owner(const void *at, size_t bytes) {
        std::lock_guard<std::mutex> lock(mutex);
        auto after = pieces.upper_bound(uintptr_t(at));
        if (after == pieces.begin()) return -1;
        const auto &[start, piece] = *std::prev(after);
        const bool inside = uintptr_t(at) + bytes <= start + piece.bytes;
        return inside ? piece.device : -1;
    }

    // Whether somebody wrote behind the end of a piece of this device.
    bool spoilt(int device) {
        const size_t page = size_t(sysconf(_SC_PAGESIZE));
        std::lock_guard<std::mutex> lock(mutex);
        for (const auto &[start, piece] : pieces) {
            if (piece.device != device) continue;
            const char *end = piece.mapping + piece.mapped - page;
            for (const char *at = reinterpret_cast<char *>(start) + piece.bytes; at < end; at++)
                if (*at != char(CANARY)) return true;
        }
        return false;
    }

    size_t size(void*at){std::lock_guard<std::mutex> lock(mutex); auto f=pieces.find(uintptr_t(at)); return f==pieces.end()?0:f->second.bytes;}
    size_t in_use(int device) {
        std::lock_guard<std::mutex> lock(mutex);
        return used[device];
    }

  private:
    std::mutex mutex;
    std::map<uintptr_t, Piece> pieces;
    std::map<int, size_t> used;
};

Memory &memory();

}  // namespace stand_in
