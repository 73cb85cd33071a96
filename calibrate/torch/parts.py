"""Times parts of a layer as PyTorch runs them on one GPU, with CUDA events; and the MoE++ layer in a loop.

    python3 calibrate/torch/parts.py OUT.csv SECONDS

Writes one row at a time: part, shape, dtype, repeats, median, 5th and 95th percentile in microseconds. Nothing
holds the stream: times under 100 us hold the launching of kernels. Needs PyTorch 2.8 or newer and a GPU.
"""

import sys, time, statistics as st, traceback
import torch, torch.nn.functional as F
from torch.nn.attention import sdpa_kernel, SDPBackend

out = open(sys.argv[1], "w")
limit = float(sys.argv[2])
began = time.time()
d = "cuda"
bf = torch.bfloat16
print("torch", torch.__version__, torch.cuda.get_device_name(), torch.backends.cudnn.version(), flush=True)
out.write("part,shape,dtype,repeats,median_us,p5_us,p95_us\n")
FLUSH = torch.empty(256 << 20, dtype=torch.uint8, device=d)


def left():
    return limit - (time.time() - began)


def events(f, budget=0.12, flush=False, least=5, most=60):
    for _ in range(2):
        f()
    torch.cuda.synchronize()
    t0 = time.time()
    ts = []
    while len(ts) < most and (len(ts) < least or time.time() - t0 < budget):
        if flush:
            FLUSH.zero_()
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        f()
        b.record()
        b.synchronize()
        ts.append(a.elapsed_time(b) * 1e3)
    return ts


def wall(f, budget=0.15, least=7, most=80):
    for _ in range(3):
        f()
    torch.cuda.synchronize()
    t0 = time.time()
    ts = []
    while len(ts) < most and (len(ts) < least or time.time() - t0 < budget):
        torch.cuda.synchronize()
        a = time.perf_counter()
        f()
        torch.cuda.synchronize()
        ts.append((time.perf_counter() - a) * 1e6)
    return ts


def row(part, shape, ts, dtype="bf16"):
    ts = sorted(ts)
    n = len(ts)
    q = lambda p: ts[min(n - 1, int(p * n))]
    out.write(f"{part},{shape},{dtype},{n},{st.median(ts):.2f},{q(0.05):.2f},{q(0.95):.2f}\n")
    out.flush()


def attempt(name, f):
    if left() < 2:
        print("no time:", name)
        return
    try:
        f()
    except Exception as e:
        print("FAILED", name, type(e).__name__, str(e)[:150], flush=True)
    torch.cuda.synchronize()


# 1. The loop over experts, vanilla and MoE++ (2,048 tokens, K=2), wall time with synchronisation.
class Layer:
    def __init__(s, D, H, N, nc, D_zero=1, copy=1):
        s.D, s.H, s.N, s.nc, s.zero, s.copy = D, H, N, nc, D_zero, copy
        g = lambda *x: torch.randn(*x, device=d, dtype=bf) * 0.02
        s.w13 = [g(2 * H, D) for _ in range(N)]
        s.w2 = [g(D, H) for _ in range(N)]
        s.wc = [g(2, D) for _ in range(nc)]
        s.v = [g(D) for _ in range(nc)]
        s.gate_v = g(N, D)
        s.gate_m = g(N + nc + copy + D_zero, D)

    def scores(s, x, tau):
        """Logits whose top two are balanced: MoE++'s FFN experts get the share phi(tau)."""
        n = s.N if tau is None else s.N + s.nc + s.copy + s.zero
        r = torch.randn(x.shape[0], n, device=d)
        if tau is not None:
            z = n - s.N
            phi = tau * s.N / (tau * s.N + z)
            lo, hi = -8.0, 8.0
            for _ in range(22):
                m = (lo + hi) / 2
                t = r.clone()
                t[:, : s.N] += m
                share = (t.topk(2).indices < s.N).float().mean().item()
                lo, hi = (m, hi) if share < phi else (lo, m)
            r[:, : s.N] += (lo + hi) / 2
        return r

    def run(s, x, noise, tau):
        T = x.shape[0]
        n = noise.shape[1]
        w = s.gate_v if tau is None else s.gate_m
        p = torch.softmax((x @ w.t()).float() * 0 + noise, -1)
        val, idx = p.topk(2)
        y = torch.zeros_like(x)
        z = n - s.N
        cap = lambda f: int(1.1 * (f * 2 * T))
        if tau is None:
            cf = cap(1 / s.N)
        else:
            cf = cap(tau / (tau * s.N + z))
            cz = cap(1 / (tau * s.N + z))
        for e in range(n):
            if e >= s.N + s.nc + s.copy:
                continue  # zero experts
            tok, k = (idx == e).nonzero(as_tuple=True)
            c = cf if e < s.N else cz
            tok, k = tok[:c], k[:c]
            if tok.numel() == 0:
                continue
            g = val[tok, k].unsqueeze(1).to(bf)
            h = x[tok]
            if e < s.N:
                a, b = (h @ s.w13[e].t()).chunk(2, 1)
                h = (F.silu(a) * b) @ s.w2[e].t()
            elif e < s.N + s.nc:
                al = torch.softmax((h @ s.wc[e - s.N].t()).float(), 1).to(bf)
                h = al[:, :1] * h + al[:, 1:] * s.v[e - s.N]
            y.index_add_(0, tok, h * g)
        return y


def loop():
    with torch.no_grad():
        for name, D, H, N, nc in (
            ("moepp-0.6b", 768, 2048, 8, 2),
            ("moepp-1b", 768, 2048, 16, 2),
            ("moepp-2b", 768, 2048, 32, 6),
            ("moepp-7b", 1536, 4096, 16, 2),
        ):
            L = Layer(D, H, N, nc)
            x = torch.randn(2048, D, device=d, dtype=bf)
            taus = [None, 0.1, 0.25, 0.5, 0.75, 1.0]
            noise = {t: L.scores(x, t) for t in taus}
            ts = {t: [] for t in taus}
            for _ in range(3):
                for t in taus:
                    ts[t] += wall(lambda: L.run(x, noise[t], t), budget=0.12, least=4, most=30)
            for t in taus:
                row("loop-layer", f"{name} tau={t}", ts[t])


attempt("loop", loop)


# 2. Attention, causal, forward and backward, by kernel.
def attention():
    S = [
        (1, 32, 8, 4096, 128, 128),
        (1, 128, 128, 4096, 192, 128),
        (8, 12, 12, 2048, 64, 64),
        (1, 64, 8, 4096, 64, 64),
        (1, 16, 16, 2048, 96, 96),
        (4, 32, 8, 1024, 128, 128),
        (1, 32, 8, 16384, 128, 128),
        (1, 128, 128, 1024, 192, 128),
        (2, 40, 40, 4096, 128, 128),
    ]
    for b, h, hk, s, dq, dv in S:
        q = torch.randn(b, h, s, dq, device=d, dtype=bf, requires_grad=True)
        k = torch.randn(b, hk, s, dq, device=d, dtype=bf, requires_grad=True)
        v = torch.randn(b, hk, s, dv, device=d, dtype=bf, requires_grad=True)
        for kind in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):

            def one():
                with sdpa_kernel(kind):
                    f = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=(h != hk))
                    n = str(kind).split(".")[1].lower()
                    shape = f"b={b} h={h} kv={hk} s={s} qk={dq} v={dv}"
                    with torch.no_grad():
                        row("attention-forward-" + n, shape, events(f, 0.06))
                    o = f()
                    g = torch.randn_like(o)
                    row(
                        "attention-backward-" + n,
                        shape,
                        events(lambda: torch.autograd.grad(o, (q, k, v), g, retain_graph=True), 0.06),
                    )

            attempt(f"attention {kind} {dq} {dv}", one)


attempt("attention", attention)


# 3. GEMMs forward, input gradient, weight gradient; plain and grouped.
def gemms():
    for K, N in ((7168, 4096), (2048, 7168), (4096, 14336), (4096, 6144), (768, 4096), (1536, 8192)):
        for M in (256, 1024, 2048, 4096, 8192, 16384):
            x = torch.randn(M, K, device=d, dtype=bf)
            w = torch.randn(N, K, device=d, dtype=bf)
            g = torch.randn(M, N, device=d, dtype=bf)
            row("gemm-forward", f"m={M} n={N} k={K}", events(lambda: x @ w.t(), 0.02))
            row("gemm-input-gradient", f"m={M} n={N} k={K}", events(lambda: g @ w, 0.02))
            row("gemm-weight-gradient", f"m={M} n={N} k={K}", events(lambda: g.t() @ x, 0.02))


def grouped():
    mm = getattr(F, "grouped_mm", None) or torch._grouped_mm
    for G, K, N in (
        (32, 7168, 4096),
        (32, 2048, 7168),
        (8, 7168, 4096),
        (8, 2048, 7168),
        (8, 4096, 28672),
        (8, 14336, 4096),
        (16, 768, 4096),
        (16, 1536, 8192),
    ):
        w = torch.randn(G, N, K, device=d, dtype=bf)
        for per in (64, 128, 256, 512, 1024, 2048):
            if per * G * max(K, N) > 1 << 30:
                continue
            M = per * G
            x = torch.randn(M, K, device=d, dtype=bf)
            g = torch.randn(M, N, device=d, dtype=bf)
            offs = torch.arange(per, M + 1, per, device=d, dtype=torch.int32)
            sh = f"experts={G} rows={per} n={N} k={K}"
            row("grouped-forward", sh, events(lambda: mm(x, w.transpose(1, 2), offs=offs), 0.02))
            row("grouped-input-gradient", sh, events(lambda: mm(g, w, offs=offs), 0.02))
            attempt(
                "grouped weight gradient",
                lambda: row("grouped-weight-gradient", sh, events(lambda: mm(g.t(), x, offs=offs), 0.02)),
            )


attempt("grouped", grouped)
attempt("gemms", gemms)


# 4. Normalisation, activation, optimiser.
def rest():
    for T, D in ((2048, 768), (4096, 4096), (4096, 7168), (16384, 7168)):
        x = torch.randn(T, D, device=d, dtype=bf, requires_grad=True)
        w = torch.ones(D, device=d, dtype=bf, requires_grad=True)
        f = lambda: F.rms_norm(x, (D,), w)
        with torch.no_grad():
            row("rms-norm-forward", f"tokens={T} hidden={D}", events(f, 0.03, flush=True))
        o = f()
        g = torch.randn_like(o)
        row(
            "rms-norm-backward",
            f"tokens={T} hidden={D}",
            events(lambda: torch.autograd.grad(o, (x, w), g, retain_graph=True), 0.03, flush=True),
        )
        y = torch.randn(T, 2 * D, device=d, dtype=bf)
        row(
            "swiglu-forward-eager",
            f"tokens={T} inter={D}",
            events(lambda: F.silu(y[:, :D]) * y[:, D:], 0.03, flush=True),
        )
    for n in (1 << 24, 1 << 28, 1 << 30):
        p = torch.zeros(n, device=d, requires_grad=True)
        p.grad = torch.randn(n, device=d)
        opt = torch.optim.AdamW([p], fused=True)
        row("adamw-fused", f"parameters={n}", events(opt.step, 0.1), "fp32")
        del p, opt
        torch.cuda.empty_cache()


attempt("rest", rest)
print("done in", round(time.time() - began, 1), "s")
