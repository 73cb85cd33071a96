// A stand-in for cuBLASLt and cuBLAS: products as the definition says, in 32 bits.
//
// What NVIDIA's libraries are trusted with is checked: operands lie whole in memory of the device, and
// are aligned as the search for an algorithm was told.
#include <algorithm>
#include <cstring>
#include <vector>

#include "stand_in.hpp"

using namespace stand_in;

enum : int {
    SUCCESS = 0, INVALID_VALUE = 7, MAPPING_ERROR = 11, NOT_SUPPORTED = 15,
    R_32F = 0, R_16F = 2, R_16BF = 14, COMPUTE_32F = 68,
};

#define FAILS(name) \
    if (int code = failure(name)) return code

static size_t size_of(int type) { return type == R_32F ? 4 : 2; }
static bool known(int type) { return type == R_32F || type == R_16F || type == R_16BF; }

// A column-major matrix in memory.
struct Matrix {
    char *at;
    int type;
    size_t rows, columns, lead;
    size_t bytes() const { return ((columns - 1) * lead + rows) * size_of(type); }
};

static float bits(uint32_t u) { float v; memcpy(&v, &u, 4); return v; }
static uint32_t word(float v) { uint32_t u; memcpy(&u, &v, 4); return u; }

static float get(const Matrix &m, size_t index) {
    if (m.type == R_32F) { float v; memcpy(&v, m.at + index * 4, 4); return v; }
    uint16_t half;
    memcpy(&half, m.at + index * 2, 2);
    if (m.type == R_16BF) return bits(uint32_t(half) << 16);
    const uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31, rest = half & 0x3ffu;
    if (exponent == 31) return bits(sign | 0x7f800000u | rest << 13);
    const float size = exponent ? bits((exponent + 112) << 23 | rest << 13) : float(rest) * 0x1p-24f;
    return sign ? -size : size;
}

static uint16_t to_half(float v) {
    const uint16_t sign = uint16_t(word(v) >> 16 & 0x8000u);
    const float size = bits(word(v) & 0x7fffffffu);
    if (size != size) return 0x7fff;
    if (size >= 65520.f) return sign | 0x7c00;
    // Adding this shifts out what the format has no room for, to nearest and even.
    if (size < 0x1p-14f) return sign | uint16_t(word(size + 0x1p-1f) - word(0x1p-1f));
    const uint32_t u = word(size);
    return sign | uint16_t((u + 0xfffu + (u >> 13 & 1u) - (112u << 23)) >> 13);
}

static void put(const Matrix &m, size_t index, float v) {
    if (m.type == R_32F) { memcpy(m.at + index * 4, &v, 4); return; }
    const uint32_t b = word(v);
    const uint16_t half = m.type == R_16F ? to_half(v)
                          : v != v        ? uint16_t(0x7fff)
                                          : uint16_t((b + 0x7fffu + (b >> 16 & 1u)) >> 16);
    memcpy(m.at + index * 2, &half, 2);
}

// c = alpha·a·b + beta·c.
static void multiply(const Matrix &a, const Matrix &b, const Matrix &c, float alpha, float beta) {
    const size_t m = c.rows, n = c.columns, k = a.columns;
    std::vector<float> as(m * k), sum(m);
    for (size_t p = 0; p < k; p++)
        for (size_t i = 0; i < m; i++) as[p * m + i] = get(a, p * a.lead + i);
    for (size_t j = 0; j < n; j++) {
        std::fill(sum.begin(), sum.end(), 0.f);
        for (size_t p = 0; p < k; p++) {
            const float factor = get(b, j * b.lead + p), *column = &as[p * m];
            for (size_t i = 0; i < m; i++) sum[i] += column[i] * factor;
        }
        for (size_t i = 0; i < m; i++) {
            const size_t at = j * c.lead + i;
            put(c, at, alpha * sum[i] + (beta == 0 ? 0 : beta * get(c, at)));
        }
    }
}

static bool fit(const Matrix &a, const Matrix &b, const Matrix &c) {
    const bool sides = a.rows == c.rows && b.columns == c.columns && a.columns == b.rows;
    return sides && a.lead >= a.rows && b.lead >= b.rows && c.lead >= c.rows;
}

static bool lie_on(int device, std::initializer_list<Matrix> all) {
    for (const Matrix &m : all)
        if (!holds(m.at, m.bytes(), device)) {
            complain("a product's operand of " + std::to_string(m.bytes()) + " bytes is not in one piece of memory");
            return false;
        }
    return true;
}

struct Operation { int compute, scale, sms; };
struct Layout { int type; size_t rows, columns; long lead; };
struct Preference { size_t room; uint32_t aligned[4]; };
// What an algorithm relies on; 64 bytes, as the caller keeps it.
struct Algorithm { uint64_t mark; uint32_t aligned[4]; uint64_t rest[5]; };
static_assert(sizeof(Algorithm) == 64, "as in cublasLt.h");
struct Found { Algorithm algorithm; size_t room; int state; float waves; int reserved[4]; };
constexpr uint64_t MARK = 0x57a9d19;
struct Handle { Stream *stream; };

EXPORT int cublasLtCreate(Handle **handle) { FAILS("cublasLtCreate"); *handle = new Handle{}; return SUCCESS; }
EXPORT int cublasLtDestroy(Handle *handle) { FAILS("cublasLtDestroy"); delete handle; return SUCCESS; }
EXPORT int cublasLtMatmulDescCreate(Operation **made, int compute, int scale) {
    FAILS("cublasLtMatmulDescCreate");
    *made = new Operation{compute, scale, 0};
    return SUCCESS;
}
EXPORT int cublasLtMatmulDescSetAttribute(Operation *of, int which, const void *value, size_t bytes) {
    FAILS("cublasLtMatmulDescSetAttribute");
    if (which != 15 || bytes != 4) return INVALID_VALUE;
    memcpy(&of->sms, value, 4);
    return of->sms > 0 ? SUCCESS : INVALID_VALUE;
}
EXPORT int cublasLtMatmulDescDestroy(Operation *of) { FAILS("cublasLtMatmulDescDestroy"); delete of; return SUCCESS; }
EXPORT int cublasLtMatrixLayoutCreate(Layout **made, int type, uint64_t rows, uint64_t columns, int64_t lead) {
    FAILS("cublasLtMatrixLayoutCreate");
    if (!known(type) || !rows || !columns) return INVALID_VALUE;
    *made = new Layout{type, rows, columns, lead};
    return SUCCESS;
}
EXPORT int cublasLtMatrixLayoutDestroy(Layout *of) { FAILS("cublasLtMatrixLayoutDestroy"); delete of; return SUCCESS; }
EXPORT int cublasLtMatmulPreferenceCreate(Preference **made) {
    FAILS("cublasLtMatmulPreferenceCreate");
    *made = new Preference{0, {256, 256, 256, 256}};
    return SUCCESS;
}
EXPORT int cublasLtMatmulPreferenceSetAttribute(Preference *of, int which, const void *value, size_t bytes) {
    FAILS("cublasLtMatmulPreferenceSetAttribute");
    if (which == 1 && bytes == 8) { memcpy(&of->room, value, 8); return SUCCESS; }
    if (which >= 5 && which <= 8 && bytes == 4) { memcpy(&of->aligned[which - 5], value, 4); return SUCCESS; }
    return INVALID_VALUE;
}
EXPORT int cublasLtMatmulPreferenceDestroy(Preference *of) {
    FAILS("cublasLtMatmulPreferenceDestroy");
    delete of;
    return SUCCESS;
}
EXPORT int cublasLtMatmulAlgoGetHeuristic(Handle *, Operation *operation, Layout *a, Layout *b, Layout *c, Layout *d,
                                          Preference *preference, int wanted, Found *found, int *count) {
    FAILS("cublasLtMatmulAlgoGetHeuristic");
    auto shape = [](Layout *l) { return Matrix{nullptr, l->type, l->rows, l->columns, size_t(l->lead)}; };
    const bool types = a->type == b->type && (d->type == a->type || d->type == R_32F) && c->type == d->type;
    *count = 0;
    if (!fit(shape(a), shape(b), shape(d))) return INVALID_VALUE;
    if (!types || operation->compute != COMPUTE_32F || operation->scale != R_32F || wanted < 1) return NOT_SUPPORTED;
    *found = {};
    found->algorithm.mark = MARK;
    std::copy(preference->aligned, preference->aligned + 4, found->algorithm.aligned);
    *count = 1;
    return SUCCESS;
}
EXPORT int cublasLtMatmul(Handle *, Operation *, const float *alpha, const void *a, Layout *la, const void *b,
                          Layout *lb, const float *beta, const void *c, Layout *, void *d, Layout *ld,
                          const Algorithm *algorithm, void *room, size_t bytes, Stream *stream) {
    FAILS("cublasLtMatmul");
    auto whole = [](const void *at, Layout *l) {
        return Matrix{static_cast<char *>(const_cast<void *>(at)), l->type, l->rows, l->columns, size_t(l->lead)};
    };
    const Matrix as = whole(a, la), bs = whole(b, lb), ds = whole(d, ld);
    if (!stream || c != d || algorithm->mark != MARK || !fit(as, bs, ds)) return INVALID_VALUE;
    const void *each[] = {a, b, c, d};
    for (int i = 0; i < 4; i++)
        if (uintptr_t(each[i]) % algorithm->aligned[i]) {
            complain("operand " + std::to_string(i) + " is not aligned as the algorithm was chosen for");
            return INVALID_VALUE;
        }
    const int device = device_of(stream);
    if (!lie_on(device, {as, bs, ds}) || (bytes && !holds(room, bytes, device))) return MAPPING_ERROR;
    const float by = *alpha, with = *beta;
    enqueue(stream, [=] { multiply(as, bs, ds, by, with); });
    return SUCCESS;
}

EXPORT int cublasCreate_v2(Handle **handle) { FAILS("cublasCreate_v2"); *handle = new Handle{}; return SUCCESS; }
EXPORT int cublasDestroy_v2(Handle *handle) { FAILS("cublasDestroy_v2"); delete handle; return SUCCESS; }
EXPORT int cublasSetStream_v2(Handle *handle, Stream *stream) {
    FAILS("cublasSetStream_v2");
    handle->stream = stream;
    return SUCCESS;
}

#ifndef WITHOUT_GROUPED
struct Groups { std::vector<Matrix> a, b, c; std::vector<float> by, with; std::vector<int> sizes; };

EXPORT int cublasGemmGroupedBatchedEx(Handle *handle, const int *ta, const int *tb, const int *m, const int *n,
                                      const int *k, const float *alpha, char *const *as, int type_a, const int *lda,
                                      char *const *bs, int type_b, const int *ldb, const float *beta, char *const *cs,
                                      int type_c, const int *ldc, int count, const int *sizes, int compute) {
    FAILS("cublasGemmGroupedBatchedEx");
    // One that waits for the device before it enqueues, if STAND_IN_GROUPED_WAITS asks for it.
    if (asked("GROUPED_WAITS", 0)) wait(handle->stream);
    if (!handle->stream) return INVALID_VALUE;
    if (compute != COMPUTE_32F || type_a != type_b || type_b != type_c || !known(type_a)) return NOT_SUPPORTED;
    Groups all;
    size_t products = 0;
    for (int g = 0; g < count; g++) {
        auto side = [](int s) { return size_t(std::max(s, 0)); };
        all.a.push_back({nullptr, type_a, side(m[g]), side(k[g]), side(lda[g])});
        all.b.push_back({nullptr, type_b, side(k[g]), side(n[g]), side(ldb[g])});
        all.c.push_back({nullptr, type_c, side(m[g]), side(n[g]), side(ldc[g])});
        if (ta[g] || tb[g] || !fit(all.a[g], all.b[g], all.c[g])) return INVALID_VALUE;
        all.by.push_back(alpha[g]), all.with.push_back(beta[g]), all.sizes.push_back(sizes[g]);
        products += size_t(sizes[g]);
    }
    const int device = device_of(handle->stream);
    for (auto *table : {as, bs, cs})
        if (!holds(table, products * sizeof(char *), device)) return MAPPING_ERROR;
    enqueue(handle->stream, [=]() mutable {
        size_t next = 0;
        for (int g = 0; g < count; g++)
            for (int i = 0; i < all.sizes[g]; i++, next++) {
                all.a[g].at = as[next], all.b[g].at = bs[next], all.c[g].at = cs[next];
                const bool there = lie_on(device, {all.a[g], all.b[g], all.c[g]});
                // Sixteen bytes: what grouped products of 16-bit numbers ask for.
                const bool even = (uintptr_t(as[next]) | uintptr_t(bs[next]) | uintptr_t(cs[next])) % 16 == 0;
                if (!there || (!even && type_a != R_32F)) return lose(device, 716);
                multiply(all.a[g], all.b[g], all.c[g], all.by[g], all.with[g]);
            }
    });
    return SUCCESS;
}
#endif
