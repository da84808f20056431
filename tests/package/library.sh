#!/usr/bin/env bash
# Builds and installs the library in a container that has its dependencies alone, and consumers of it in each way (alone.sh).
#
#   tests/package/library.sh RELEASE...      Debian's: bookworm, trixie
#
# Prints a skip where no container can be run or made.
set -euo pipefail
cd "$(dirname "$0")/../.."

packages=(g++ cmake make pkg-config libsodium-dev liblz4-dev libmsgpack-cxx-dev nlohmann-json3-dev)
if ! docker info >/dev/null 2>&1; then
  echo "library: skipped: no docker here"
  exit 0
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for release in "$@"; do
  image=canopy-test-library-$release
  if ! BASE=$image RELEASE=$release deploy/base-image.sh "${packages[@]}"; then
    echo "library: skipped: no image of Debian $release can be made"
    continue
  fi
  mkdir "$out/$release"
  if ! docker run --rm --network none --user "$(id -u):$(id -g)" --volume "$PWD:/canopy:ro" --volume "$out/$release:/out" \
    "$image" /canopy/tests/package/alone.sh /out >"$out/$release.log" 2>&1; then
    tail -n 60 "$out/$release.log"
    exit 1
  fi
  grep "^alone: " "$out/$release.log" | sed "s/^alone/library: $release/"
done
