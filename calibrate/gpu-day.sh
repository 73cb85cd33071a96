#!/usr/bin/env bash
# Measures a GPU in two commands of at most ten minutes each, from a prebuilt program and without a
# network. Run in the repository's root:
#
#   cargo build --release -p calibrate               # beforehand, on any x86-64 Linux
#   calibrate/gpu-day.sh 1 OUT                       # the paper's shapes, and a profile of them
#   calibrate/gpu-day.sh 2 OUT                       # Mixtral, DeepSeek-V3, gpt-oss, LongCat as well
#
# OUT gets one folder a command with samples (Parquet), profile (TOML and Parquet), what `compare`
# printed, and pictures, and archives of these folders beside it, each far below 16 MiB. A command
# that was cut off goes on where it stopped when it is given again.
#
#   CALIBRATE   the program             default: target/release/calibrate
#   MINUTES     for measuring, in each  default: 8.5; the rest is for starting, fitting and drawing
#   ARGS        further arguments of `calibrate measure`, such as "--backend wgpu"
set -euo pipefail

usage() { sed -n '2,15p' "$0" | cut -c3-; exit 2; }
[ $# = 2 ] || usage
part=$1 out=$2
calibrate=${CALIBRATE:-target/release/calibrate}
minutes=${MINUTES:-8.5}
case $part in
  1) shapes="moepp-0.6b moepp-1b moepp-7b" ;;
  2) shapes="mixtral deepseek-v3 gpt-oss longcat" ;;
  *) usage ;;
esac
shapes=${SHAPES:-$shapes}
[ -x "$calibrate" ] || { echo "$calibrate: no such program; build it, or name it in CALIBRATE" >&2; exit 1; }

folder=$out/day$part
mkdir -p "$folder"
args=()
for shape in $shapes; do args+=(--shape "$shape"); done
# shellcheck disable=SC2086 # ARGS is a list of words
status=0
"$calibrate" measure "${args[@]}" --minutes "$minutes" --out "$folder" ${ARGS:-} 2>&1 \
  | tee -a "$folder/log.txt" || status=$?

# What was finished is of use even where something was refused or cut off.
if "$calibrate" fit --samples "$folder" --out "$folder/own-gpu.toml" 2>&1 | tee -a "$folder/log.txt"; then
  "$calibrate" compare "$folder/own-gpu.toml" 2>&1 | tee "$folder/compare.txt" || status=$?
  "$calibrate" report "$folder/own-gpu.toml" --out "$folder" 2>&1 | tee -a "$folder/log.txt" || status=$?
fi
tar -C "$out" -czf "$out/day$part.tar.gz" "day$part"
ls -l "$out/day$part.tar.gz"
exit "$status"
