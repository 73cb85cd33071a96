#!/bin/sh
# Writes again the built-in profiles that are carried over from a measured GPU; run it after a donor was fitted anew,
# and build again.
set -eu
cd "$(dirname "$0")/.."
for name in h800-sxm a800-sxm h20 h200-nvl b300-sxm gb300 rtx-pro-6000-server mi300x; do
    sheet=calibrate/sheets/$name
    timings=
    if [ -f "$sheet.csv" ]; then timings="--timings $sheet.csv"; fi
    # shellcheck disable=SC2086
    ${CALIBRATE:-cargo run --quiet -p calibrate --bin calibrate --} \
        transfer --sheet "$sheet.toml" $timings --out "calibrate/profiles/$name.toml"
done
