"""Times what computing and copying cost each other on one GPU, and what numbers cost products.

    python3 calibrate/torch/contention.py OUT.csv SECONDS

A copy kernel keeps S SMs to itself, as the kernels of an exchange do, and moves memory; products, attention and
sums run beside it on another stream. Products are also timed on normal numbers, on whole numbers of few bits and
on zeros, in bursts and sustained. Writes part, beside, SMs of the copy, repeats, median, 5th and 95th percentile in
microseconds, and GB/s read and written by the copy. Needs PyTorch, CuPy and a GPU.
"""

import sys, time, statistics as st
import torch, torch.nn.functional as F, cupy as cp

out = open(sys.argv[1], "w")
limit = float(sys.argv[2])
began = time.time()
out.write("part,beside,sms,repeats,median_us,p5_us,p95_us,gb_per_s\n")
d = "cuda"
bf = torch.bfloat16
SRC = r"""
extern "C" __global__ void __launch_bounds__(1024, 1) copy(const float4* a, float4* b, long long n, int rounds) {
  extern __shared__ char keep[]; if (threadIdx.x == 0) keep[0] = 1;
  long long step = (long long)gridDim.x * blockDim.x;
  for (int r = 0; r < rounds; r++)
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += 4 * step) {
      float4 v[4];
      #pragma unroll
      for (int j = 0; j < 4; j++) if (i + j * step < n) v[j] = __ldcs(a + i + j * step);
      #pragma unroll
      for (int j = 0; j < 4; j++) if (i + j * step < n) __stcs(b + i + j * step, v[j]);
    }
}"""
kernel = cp.RawKernel(SRC, "copy")
SMEM = 200 << 10
kernel.max_dynamic_shared_size_bytes = SMEM
BYTES = 1 << 30
A = torch.empty(BYTES, dtype=torch.uint8, device=d)
B = torch.empty_like(A)
side = torch.cuda.Stream(priority=-1)
main = torch.cuda.Stream()


def copy(sms, n_bytes, rounds):
    with cp.cuda.ExternalStream(side.cuda_stream):
        kernel((sms,), (1024,), (A.data_ptr(), B.data_ptr(), n_bytes // 16, rounds), shared_mem=SMEM)


def event():
    return torch.cuda.Event(enable_timing=True)


def write(part, beside, sms, ts, bytes_=None):
    ts = sorted(ts)
    n = len(ts)
    m = st.median(ts)
    rate = f"{2 * bytes_ / m * 1e-3:.1f}" if bytes_ else ""
    out.write(
        f"{part},{beside},{sms},{n},{m:.2f},{ts[int(0.05 * n)]:.2f},{ts[min(n - 1, int(0.95 * n))]:.2f},{rate}\n"
    )
    out.flush()


g = lambda *s: torch.randn(*s, device=d, dtype=bf)
x1, w1 = g(8192, 4096), g(14336, 4096)
x2, w2 = g(4096, 7168), g(4096, 7168)
q, k, v = g(1, 32, 4096, 128), g(1, 32, 4096, 128), g(1, 32, 4096, 128)
big = g(8192, 16384)
o1 = g(8192, 14336)
w = torch.ones(16384, device=d, dtype=bf)
mm = getattr(F, "grouped_mm", None) or torch._grouped_mm
gw = g(32, 4096, 7168)
gx = g(32 * 256, 7168)
offs = torch.arange(256, 8193, 256, device=d, dtype=torch.int32)
# A product of few rows: bound by reading its weights.
xs, ws = g(64, 8192), g(28672, 8192)
WORK = {
    "gemm 8192x14336x4096": lambda: x1 @ w1.t(),
    "gemm 4096x4096x7168": lambda: x2 @ w2.t(),
    "grouped 32x256x4096x7168": lambda: mm(gx, gw.transpose(1, 2), offs=offs),
    "attention 32x4096x128": lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    "gemm 64x28672x8192": lambda: xs @ ws.t(),
    "sum 8192x16384": lambda: torch.add(big, big, out=big),
    "rms-norm 8192x16384": lambda: F.rms_norm(big, (16384,), w),
}


def timed(f, n):
    ts = []
    with torch.cuda.stream(main):
        for _ in range(n):
            a, b = event(), event()
            a.record(main)
            f()
            b.record(main)
            ts.append((a, b))
    return ts


def us(pairs):
    return [a.elapsed_time(b) * 1e3 for a, b in pairs]


def alone(f, n=20):
    timed(f, 3)
    torch.cuda.synchronize()
    p = timed(f, n)
    torch.cuda.synchronize()
    return us(p)


def data():
    """Do numbers matter? Products of normal numbers, of integers of seven bits, of zeros; in bursts and sustained."""
    m, n, k = 8192, 14336, 4096
    kinds = {
        "normal": lambda *s: torch.randn(*s, device=d, dtype=bf),
        "seven-bits": lambda *s: (sum(torch.randint(0, 64, s, device=d) for _ in range(4)) - 126).to(bf) / 32,
        "zeros": lambda *s: torch.zeros(*s, device=d, dtype=bf),
    }
    for kind, make in kinds.items():
        x, w = make(m, k), make(n, k)
        for _ in range(2):
            time.sleep(0.25)
            write("gemm-burst", kind, 0, us(timed_sync(lambda: x @ w.t(), 8)))
        t0 = time.time()
        ts = []
        while time.time() - t0 < 1.2:
            ts += us(timed_sync(lambda: x @ w.t(), 20))
        write("gemm-sustained", kind, 0, ts[len(ts) // 2 :])


def timed_sync(f, n):
    p = timed(f, n)
    torch.cuda.synchronize()
    return p


with torch.no_grad():
    data()
    base = {name: st.median(alone(f)) for name, f in WORK.items()}
    for name, f in WORK.items():
        write(name, "nothing", 0, alone(f))
    rates = {}
    for sms in (4, 8, 16, 20, 24, 32, 64, 132):
        ts = []
        for i in range(9):
            a, b = event(), event()
            a.record(side)
            copy(sms, BYTES, 1)
            b.record(side)
            torch.cuda.synchronize()
            if i > 1:
                ts.append(a.elapsed_time(b) * 1e3)
        write("copy", "nothing", sms, ts, BYTES)
        rates[sms] = st.median(ts)
    for sms in (8, 20, 32):
        for name, f in WORK.items():
            if time.time() - began > limit:
                break
            # Work beside a copy that lasts longer than it.
            n = max(6, min(40, int(8000 / base[name])))
            rounds = max(1, int(3.0 * n * base[name] / rates[sms]) + 1)
            torch.cuda.synchronize()
            copy(sms, BYTES, rounds)
            time.sleep(0.0005)
            p = timed(f, n)
            done = event()
            done.record(side)
            main.synchronize()
            outlasted = not done.query()
            torch.cuda.synchronize()
            write(name, "copy" if outlasted else "copy that ended early", sms, us(p)[2:])
            # A copy beside work that lasts longer than it.
            n_bytes = BYTES // 4
            ts = []
            many = int(4 * rates[sms] / 4 / base[name]) + 8
            for i in range(5):
                torch.cuda.synchronize()
                pairs = timed(f, many)
                time.sleep(0.0003)
                a, b = event(), event()
                a.record(side)
                copy(sms, n_bytes, 1)
                b.record(side)
                side.synchronize()
                still = not pairs[-1][1].query()
                torch.cuda.synchronize()
                if i and still:
                    ts.append(a.elapsed_time(b) * 1e3)
            if ts:
                write("copy", name, sms, ts, n_bytes)
            else:
                print("work ended before the copy:", name, sms)
    # Products told to leave SMs alone, where the library can be told.
    try:
        for sms in (8, 20, 32):
            torch._C._set_sm_carveout_experimental(sms)
            for name in ("gemm 8192x14336x4096", "gemm 4096x4096x7168"):
                write(name, "carve-out", sms, alone(WORK[name]))
        torch._C._set_sm_carveout_experimental(None)
    except Exception as e:
        print("carve-out:", e)
print("done in", round(time.time() - began, 1), "s")
