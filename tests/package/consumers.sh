#!/usr/bin/env bash
# Builds the consumer against an installed library in each way that a user may: found by CMake and by pkg-config, shared and
# static, with the consumer's own flags.
#
#   tests/package/consumers.sh PREFIX OUT      makes OUT/cmake-shared/consumer, cmake-static, pkgconfig-shared, pkgconfig-static
#
# CXX and CXXFLAGS are kept. The static ones of pkg-config are static throughout, which sanitizers do not allow: with
# -fsanitize they are left out.
set -euo pipefail
prefix=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
source=$(dirname "$(realpath "$0")")
read -r -a flags <<<"${CXXFLAGS:-}"

for shared in ON OFF; do
  [ $shared = ON ] && kind=shared || kind=static
  cmake -S "$source" -B "$out/cmake-$kind" -DCMAKE_PREFIX_PATH="$prefix" -DBUILD_SHARED_LIBS=$shared
  cmake --build "$out/cmake-$kind"
done

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name canopy.pc)")
export PKG_CONFIG_PATH
for kind in shared static; do
  pkg_flags=()
  if [ $kind = static ]; then
    [[ "${CXXFLAGS:-}" == *-fsanitize* ]] && continue
    pkg_flags=(-static)
  fi
  mkdir -p "$out/pkgconfig-$kind"
  # shellcheck disable=SC2046 # words
  "${CXX:-c++}" -std=c++20 -Wall -Wextra -Wpedantic -Werror -Wconversion "${flags[@]}" "${pkg_flags[@]}" \
    "$source/consumer.cc" -o "$out/pkgconfig-$kind/consumer" \
    $(pkg-config ${pkg_flags:+--static} --cflags --libs canopy) -Wl,-rpath,"$(pkg-config --variable=libdir canopy)"
done
