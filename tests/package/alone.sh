#!/usr/bin/env bash
# Builds and installs the library where nothing but its own dependencies is installed, builds the consumers against it, and
# runs them without a cluster. For a container; it writes below OUT alone.
#
#   tests/package/alone.sh OUT
set -euo pipefail
out=$1
source=$(dirname "$(realpath "$0")")/../..
for absent in zmq.h yaml-cpp/yaml.h curl/curl.h prometheus/counter.h CivetServer.h rocksdb/db.h; do
  if [ -e "/usr/include/$absent" ]; then echo "alone: $absent is installed"; exit 1; fi
done
cmake -S "$source" -B "$out/build" -DCANOPY_PROGRAMS=OFF -DCANOPY_WERROR=ON \
  -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=0
cmake --build "$out/build" -j "$(nproc)"
cmake --install "$out/build" --prefix "$out/prefix"
"$source/tests/package/consumers.sh" "$out/prefix" "$out/consumers"
for consumer in "$out"/consumers/*/consumer; do
  "$consumer" alone
  echo "alone: $consumer ran"
done
