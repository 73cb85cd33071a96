#!/usr/bin/env bash
# Measures a GPU in two commands of at most ten minutes each, from prebuilt programs and without a
# network. Run in the repository's root:
#
#   cargo build --release --workspace                # beforehand, on any x86-64 Linux
#   calibrate/gpu-day.sh 1 OUT                       # the paper's shapes, and a profile of them
#   calibrate/gpu-day.sh 2 OUT                       # Mixtral, DeepSeek-V3, gpt-oss, LongCat as well
#   DRY=1 calibrate/gpu-day.sh 1 OUT                 # half a minute on a software Vulkan driver
#
# Every kernel is checked against its CPU twin before it is timed. OUT gets one folder a command with
# samples (Parquet), profile (TOML and Parquet), what `compare` and `moesim run` printed, and pictures,
# and an archive of the folder beside it, far below 16 MiB. A command that was cut off goes on where it
# stopped when it is given again.
#
#   CALIBRATE   the program             default: target/release/calibrate
#   MOESIM      the simulator           default: target/release/moesim
#   MINUTES     for measuring, in each  default: 8.5; the rest is for starting, fitting and drawing
#   SHAPES      expert shapes           default: those above
#   ARGS        further arguments of `calibrate measure`, such as "--backend wgpu"
set -euo pipefail

usage() { sed -n '2,20p' "$0" | cut -c3-; exit 2; }
[ $# = 2 ] || usage
part=$1 out=$2
calibrate=${CALIBRATE:-target/release/calibrate}
moesim=${MOESIM:-target/release/moesim}
minutes=${MINUTES:-8.5}
case $part in
  1) shapes="moepp-0.6b moepp-1b moepp-7b" ;;
  2) shapes="mixtral deepseek-v3 gpt-oss longcat" ;;
  *) usage ;;
esac
if [ "${DRY:-}" = 1 ]; then
  minutes=${MINUTES:-0.5} shapes=tiny ARGS="--backend wgpu ${ARGS:-}"
fi
shapes=${SHAPES:-$shapes}
for program in "$calibrate" "$moesim"; do
  [ -x "$program" ] || {
    echo "$program: no such program; build it, or name it in CALIBRATE or MOESIM" >&2
    exit 1
  }
done

folder=$out/day$part
mkdir -p "$folder"
args=()
for shape in $shapes; do args+=(--shape "$shape"); done
status=0
# Runs a command, adds what it says to a file, and remembers if it failed.
keep() {
  local file=$folder/$1
  shift
  "$@" 2>&1 | tee -a "$file" || status=$?
}

# shellcheck disable=SC2086 # ARGS is a list of words
keep log.txt "$calibrate" measure "${args[@]}" --minutes "$minutes" --out "$folder" ${ARGS:-}
# What was finished is of use even where something was refused or cut off.
rm -f "$folder"/{compare,run}.txt
profile=$folder/own-gpu.toml
if "$calibrate" fit --samples "$folder" --out "$profile" 2>&1 | tee -a "$folder/log.txt"; then
  keep compare.txt "$calibrate" compare "$profile"
  keep log.txt "$calibrate" report "$profile" --out "$folder"
  keep run.txt "$moesim" run paper --profile "$profile" \
    --set overheads="$folder/own-gpu-loop.toml"
else
  status=1
fi
tar -C "$out" -czf "$out/day$part.tar.gz" "day$part"
ls -l "$out/day$part.tar.gz"
exit "$status"
