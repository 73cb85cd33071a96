// A stand-in for NCCL: sends and receives between the devices of one process, each on its stream.
#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "stand_in.hpp"

using namespace stand_in;

enum : int { SUCCESS = 0, SYSTEM_ERROR = 2, INVALID_ARGUMENT = 4, INVALID_USAGE = 5 };

struct Group { int ranks; };
struct Comm { std::shared_ptr<Group> group; int rank, device; };
struct Transfer { const void *from; void *to; size_t bytes; int peer; Comm *comm; Stream *stream; };

#define FAILS(name) \
    if (int code = failure(name)) return code

// Calls between the start and the end of a group belong together.
static thread_local std::vector<Transfer> gathered;
static thread_local bool gathering = false;

EXPORT int ncclCommInitAll(Comm **each, int ranks, const int *devices) {
    FAILS("ncclCommInitAll");
    auto group = std::make_shared<Group>(Group{ranks});
    for (int i = 0; i < ranks; i++) {
        for (int j = 0; j < i; j++)
            if (devices[j] == devices[i]) return INVALID_ARGUMENT;
        each[i] = new Comm{group, i, devices[i]};
    }
    return SUCCESS;
}
EXPORT int ncclCommDestroy(Comm *comm) { FAILS("ncclCommDestroy"); delete comm; return SUCCESS; }
EXPORT int ncclGroupStart() {
    FAILS("ncclGroupStart");
    if (gathering) return INVALID_USAGE;
    gathering = true;
    return SUCCESS;
}

static int add(const void *from, void *to, size_t bytes, int kind, int peer, Comm *comm, Stream *stream) {
    if (!gathering || kind != 1 || peer < 0 || peer >= comm->group->ranks) return INVALID_USAGE;
    const void *at = from ? from : to;
    if (!stream || device_of(stream) != comm->device || !holds(at, bytes, comm->device)) {
        complain("a transfer of what is not on its device");
        return INVALID_ARGUMENT;
    }
    gathered.push_back({from, to, bytes, peer, comm, stream});
    return SUCCESS;
}
EXPORT int ncclSend(const void *from, size_t bytes, int kind, int peer, Comm *comm, Stream *stream) {
    FAILS("ncclSend");
    return add(from, nullptr, bytes, kind, peer, comm, stream);
}
EXPORT int ncclRecv(void *to, size_t bytes, int kind, int peer, Comm *comm, Stream *stream) {
    FAILS("ncclRecv");
    return add(nullptr, to, bytes, kind, peer, comm, stream);
}

// What happens once all streams have come so far.
struct Meeting {
    std::mutex mutex;
    std::condition_variable changed;
    size_t expected = 0, come = 0;
    bool over = false;
    std::vector<std::pair<Transfer, Transfer>> pairs;

    void join() {
        std::unique_lock<std::mutex> lock(mutex);
        if (++come < expected) {
            changed.wait(lock, [&] { return over; });
            return;
        }
        for (auto &[send, receive] : pairs) memcpy(receive.to, send.from, send.bytes);
        over = true;
        changed.notify_all();
    }
};

EXPORT int ncclGroupEnd() {
    const bool open = gathering;
    gathering = false;
    std::vector<Transfer> all;
    all.swap(gathered);
    FAILS("ncclGroupEnd");
    if (!open) return INVALID_USAGE;
    auto meeting = std::make_shared<Meeting>();
    std::vector<bool> sent(all.size());
    std::map<Stream *, int> streams;
    size_t sends = 0;
    for (size_t i = 0; i < all.size(); i++) sends += all[i].from != nullptr;
    for (const Transfer &receive : all) {
        streams[receive.stream]++;
        if (!receive.to) continue;
        size_t s = 0;
        auto fits = [&](const Transfer &t) {
            return t.from && t.comm->group == receive.comm->group && t.comm->rank == receive.peer &&
                   t.peer == receive.comm->rank && t.bytes == receive.bytes;
        };
        while (s < all.size() && (sent[s] || !fits(all[s]))) s++;
        if (s == all.size()) return INVALID_USAGE;
        sent[s] = true;
        meeting->pairs.push_back({all[s], receive});
    }
    // A send that nobody receives hangs; here it is refused.
    if (meeting->pairs.size() != sends) return INVALID_USAGE;
    meeting->expected = streams.size();
    for (auto &[stream, count] : streams) enqueue(stream, [meeting] { meeting->join(); });
    return SUCCESS;
}
