#!/usr/bin/env bash
# Fuzzes every decoder, as many at once as there are cores; fails on any finding.
#
#   tests/fuzz/run.sh [SECONDS]     for each decoder; 60 if not said
#
# What has been learnt stays in build/fuzz/corpus for the next time. A finding is a file below
# build/fuzz/findings; `build/fuzz/bin/canopy-fuzz TARGET FILE` shows it again.
set -euo pipefail
cd "$(dirname "$0")/../.."

export seconds=${1:-60}
[ -f build/fuzz/build.ninja ] || cmake --preset fuzz --log-level=WARNING
cmake --build --preset fuzz -j "$(nproc)" --target canopy-fuzz

cd build/fuzz
rm -rf findings logs
mkdir -p findings logs corpus
fuzz() {
  # A decoder may hold what a frame holds, a few times over; no single frame asks for more memory than this.
  if bin/canopy-fuzz "$1" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -malloc_limit_mb=16 \
      -artifact_prefix="findings/$1-" -verbosity=0 -print_final_stats=1 "corpus/$1" >"logs/$1" 2>&1; then
    echo "$1: $(sed -n 's/^stat::number_of_executed_units: *//p' "logs/$1") inputs, nothing found"
  else
    tail -n 60 "logs/$1"
    echo "$1: FOUND, see build/fuzz/findings"
    return 1
  fi
}
export -f fuzz
bin/canopy-fuzz seeds corpus | xargs -P "$(nproc)" -I{} bash -c 'fuzz {}'
