#!/usr/bin/env bash
# Builds with the preset `asan` or `tsan` and runs the unit and integration tests under it.
#
#   tests/sanitize.sh asan|tsan [--unit | --network] [pytest arguments]
#
# --unit leaves out the integration tests; --network also all unit tests but those of codecs, ZMTP and sockets, which
# read the bytes of strangers.
#
# Every process, also processes which tests start and stop, writes what its sanitizer finds into a report; any report fails
# the run.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:?usage: $0 asan|tsan [--unit | --network] [pytest arguments]}
shift
jobs=$(nproc)
[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" --log-level=WARNING
suites=all
if [ "${1:-}" = --network ]; then
  suites=(wire_tests zmtp_tests net_tests)
fi
cmake --build --preset "$preset" -j "$jobs" --target "${suites[@]}"

reports=$PWD/build/$preset/reports
rm -rf "$reports"
mkdir -p "$reports"
common="log_path=$reports/report:exitcode=66"
export ASAN_OPTIONS=$common:detect_stack_use_after_return=1
export UBSAN_OPTIONS=$common:print_stacktrace=1
# The longest history: without it the stacks that the suppressions name cannot be restored.
export TSAN_OPTIONS=$common:history_size=7:suppressions=$PWD/tests/tsan.supp
export CANOPY_BIN=$PWD/build/$preset/bin

failed=0
names=.
[ "${suites[0]}" = all ] || names="^($(IFS='|'; echo "${suites[*]%_tests}"))\."
ctest --test-dir "build/$preset" --output-on-failure -j "$jobs" -R "$names" || failed=1
if [ "${1:-}" != --unit ] && [ "${1:-}" != --network ]; then
  /usr/bin/python3 -m pytest tests/integration -n "$jobs" -q "$@" || failed=1
fi
if compgen -G "$reports/*" >/dev/null; then
  failed=1
  head -n 60 "$reports"/*
fi
exit $failed
