#!/bin/sh
# Ours and SimGrid on the same all-to-alls, one after the other on this machine: makespans and
# processor time. Needs Debian's libsimgrid-dev and g++, and `cargo build --release` before.
# usage: benches/simgrid/run.sh [GPUS...]      128 GPUs take SimGrid a minute a pattern, 256 hours
set -eu
cd "$(dirname "$0")"
moesim=${MOESIM:-../../target/release/moesim}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
g++ -O2 -std=c++17 alltoall.cpp -lsimgrid -o "$work/alltoall"
field() { sed -n "s/^ *\"$1\": \([0-9.e-]*\),*$/\1/p"; }
echo "gpus,pattern,simgrid_makespan_ms,simgrid_cpu_s,exact_makespan_ms,exact_cpu_s,quantised_1_percent_makespan_ms,quantised_cpu_s,quantised_times_faster"
for gpus in "${@:-64}"; do
  for pattern in zipf16 zipfc; do
    theirs=$("$work/alltoall" "$gpus" "$pattern" star --cfg=network/model:CM02 \
      --cfg=network/TCP-gamma:0 --cfg=network/latency-factor:1 --cfg=network/bandwidth-factor:1 \
      --cfg=network/weight-S:0 --cfg=network/crosstraffic:0 2>/dev/null | tail -1)
    exact=$("$moesim" flows --pattern "$pattern" --gpus "$gpus" --engine exact --threads 1 --json)
    steps=$("$moesim" flows --pattern "$pattern" --gpus "$gpus" --engine quantised --threads 1 --json)
    echo "$theirs" | awk -F, -v gpus="$gpus" -v pattern="$pattern" \
      -v em="$(echo "$exact" | field makespan_s)" -v ec="$(echo "$exact" | field cpu_s)" \
      -v qm="$(echo "$steps" | field makespan_s)" -v qc="$(echo "$steps" | field cpu_s)" \
      '{ printf "%s,%s,%.6f,%.3f,%.6f,%.4f,%.6f,%.4f,%.0f\n", gpus, pattern, $6 * 1e3, $9, em * 1e3, ec, qm * 1e3, qc, $9 / qc }'
  done
done
