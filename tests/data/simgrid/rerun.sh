#!/bin/sh
# Runs every case of cases.txt through SimGrid and compares with answers.txt, the answers that the
# tests hold ours against. Needs Debian's libsimgrid-dev and g++. With --write, stores the answers.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
g++ -O2 -std=c++17 driver.cpp -lsimgrid -o "$work/driver"
for case in $(awk '$1 == "case" { print $2 }' cases.txt); do
  "$work/driver" cases.txt "$case" \
    --cfg=network/model:CM02 --cfg=network/TCP-gamma:0 --cfg=network/latency-factor:1 \
    --cfg=network/bandwidth-factor:1 --cfg=network/weight-S:0 --cfg=network/crosstraffic:0
done > "$work/answers.txt"
if [ "${1:-}" = "--write" ]; then
  cp "$work/answers.txt" answers.txt
else
  cmp answers.txt "$work/answers.txt" && echo "SimGrid still gives the stored answers"
fi
