#!/usr/bin/env bash
# Measures a GPU when one can be had for a quarter of an hour: two commands, from prebuilt programs,
# without a network, in any folder.
#
#   cargo build --release --workspace        # beforehand, on any x86-64 Linux
#   calibrate/gpu-day.sh 1 OUT               # at most 8 minutes
#   calibrate/gpu-day.sh 2 OUT [ARCHIVE]     # at most 4: what is left of it
#   DRY=1 calibrate/gpu-day.sh 1 OUT         # the same at sizes of a CPU
#
# The first runs every kernel once against its CPU twin and says in twenty seconds what will work. Then
# it measures in order of worth: the paper's shapes, whole layers of Mixtral, DeepSeek-V3, gpt-oss and
# LongCat, the same device through wgpu; and fits, compares and draws. OUT gets `day.tar.gz`, made anew
# after each step, and `summary.txt`; each file has less than 16 MiB. A command that was cut off goes on
# where it stopped when it is given again; on another machine, from ARCHIVE.
#
#   LIMIT       seconds, all in all         default: 480 and 240
#   CALIBRATE   the program                 default: beside this script, else target/release/calibrate
#   MOESIM      the simulator               default: likewise
#   WORK        the folder for samples      default: OUT/day; elsewhere if OUT may hold few files
#   BACKEND     `cuda`, or `wgpu` alone     default: cuda
set -euo pipefail

usage() { sed -n '2,20p' "$0" | cut -c3-; exit 2; }
[ $# = 2 ] || [ $# = 3 ] || usage
part=$1 out=$2 archive=${3:-}
paper="moepp-1b moepp-0.6b moepp-7b"
all="$paper mixtral deepseek-v3 gpt-oss longcat"
sizes=() simulated=()
case $part in
  1) limit=${LIMIT:-480} ;;
  2) limit=${LIMIT:-240} ;;
  *) usage ;;
esac
if [ "${DRY:-}" = 1 ]; then
  paper=tiny all="tiny small" sizes=(--small)
  simulated=(--set seeds=0..1 --set counted=moe-layer --set workload.batch.micro_batches=1)
fi
program() {
  local beside
  beside=$(dirname "$0")/$1
  [ -x "$beside" ] && echo "$beside" || echo "target/release/$1"
}
calibrate=${CALIBRATE:-$(program calibrate)}
moesim=${MOESIM:-$(program moesim)}
for one in "$calibrate" "$moesim"; do
  [ -x "$one" ] || {
    echo "$one: no such program; build it, or name it in CALIBRATE or MOESIM" >&2
    exit 1
  }
done
backend=${BACKEND:-cuda}
work=${WORK:-$out/day}
mkdir -p "$work" "$out"
[ -z "$archive" ] || tar -C "$work" -xzf "$archive"
summary=$out/summary.txt
status=0

left() { echo $((limit - SECONDS)); }
# What fitting, comparing and drawing are left, in seconds.
end=$((limit / 10 > 12 ? limit / 10 : 12))
# A share of the time that is left before that, in seconds.
share() { awk -v left="$(($(left) - end))" -v of="$1" 'BEGIN { s = left * of; print int(s > 1 ? s : 1) }'; }
say() { echo "$*" | tee -a "$summary"; }

# What there is so far, as one file that is whole at every moment; in parts if it is too large for one.
keep() {
  tar -C "$work" -czf "$work.part" . && rm -f "$out"/day.tar.gz*
  if [ "$(stat -c %s "$work.part")" -lt $((15 << 20)) ]; then
    mv "$work.part" "$out/day.tar.gz"
  else
    split -b 15M -d "$work.part" "$out/day.tar.gz." && rm "$work.part"
  fi
}
# Runs a command for so many seconds at most, adds what it says to a file, and says how it ended.
step() {
  local name=$1 seconds=$2 file=$3 began=$SECONDS code=0
  shift 3
  # Nothing may take more than what is left; a second is left for the archive.
  [ "$seconds" -lt "$(left)" ] || seconds=$(($(left) - 1))
  [ "$seconds" -gt 0 ] || { say "$name: no time was left"; return 1; }
  timeout --kill-after=5 "$seconds" "$@" 2>&1 | tee -a "$file" || code=${PIPESTATUS[0]}
  case $code in
    0) say "$name: done in $((SECONDS - began)) s" ;;
    124 | 137) say "$name: cut off after $seconds s" ;;
    *) say "$name: failed with $code, see $(basename "$file")"; status=1 ;;
  esac
  keep
  return "$code"
}
# Measures shapes through a backend for so many seconds, and not much longer.
measure() {
  local name=$1 through=$2 seconds=$3 shapes=$4 args=() shape
  for shape in $shapes; do args+=(--shape "$shape"); done
  step "$name" $((seconds + seconds / 8 + 8)) "$work/$through.txt" "$calibrate" measure --backend "$through" \
    "${args[@]}" "${sizes[@]}" --out "$work/$through" --minutes "$(awk -v s="$seconds" 'BEGIN { m = s / 60; print (m > 0.01 ? m : 0.01) }')"
}

: >"$summary"
say "part $part on $(uname -n), $(date -u +%FT%TZ), at most $limit s"
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit --format=csv,noheader 2>&1 | tee -a "$summary" || true
# Each backend once.
backends=$backend
[ "$backend" = wgpu ] || backends="$backend wgpu"
for through in $backends; do
  rm -f "$work/check-$through.txt"
  step "check of $through" 20 "$work/check-$through.txt" "$calibrate" check --backend "$through" --seconds 10 || true
done
if ! grep -q "^works" "$work/check-$backend.txt"; then
  say "nothing works through $backend: nothing was measured"
  keep
  exit 1
fi
if [ "$part" = 1 ]; then
  measure "the paper's shapes" "$backend" "$(share 0.6)" "$paper" || true
  measure "all shapes" "$backend" "$(share 0.75)" "$all" || true
else
  measure "what is left" "$backend" "$(share 0.8)" "$all" || true
fi
if [ "$backend" != wgpu ] && grep -q "^works" "$work/check-wgpu.txt"; then
  measure "through wgpu" wgpu "$(share 1)" "${paper%% *}" || true
fi
# What was finished is of use even where something was refused or cut off.
for through in $backends; do
  folder=$work/$through profile=$work/$through/own-gpu.toml
  [ -e "$folder/gemm.parquet" ] || continue
  rm -f "$folder"/{compare,run}.txt
  step "fit of $through" 60 "$work/$through.txt" "$calibrate" fit --samples "$folder" --out "$profile" || continue
  step "comparison of $through" 60 "$folder/compare.txt" "$calibrate" compare "$profile" || true
  step "pictures of $through" 60 "$work/$through.txt" "$calibrate" report "$profile" --out "$folder" || true
  { echo; cat "$folder/compare.txt"; } >>"$summary"
done
# The paper's cluster, made of this device: of least worth, since the profile lets it be done anywhere.
for through in $backends; do
  folder=$work/$through
  [ -e "$folder/own-gpu.toml" ] || continue
  step "simulation of $through" 60 "$folder/run.txt" "$moesim" run paper --profile "$folder/own-gpu.toml" \
    --set overheads="$folder/own-gpu-loop.toml" "${simulated[@]}" || true
done
keep
say "$SECONDS s of $limit; $(cd "$out" && ls day.tar.gz*)"
exit "$status"
