#!/usr/bin/env bash
# Makes Debian packages of the tracked files, by deploy/debian.
#
#   deploy/package.sh DIRECTORY BUILD       the packages of what the build directory BUILD holds; compiles nothing
#   deploy/package.sh DIRECTORY             the source package, which dpkg-buildpackage builds
set -euo pipefail
directory=$(realpath "$1")
build=${2:+$(realpath "$2")}
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/canopy-$(dpkg-parsechangelog -l deploy/debian/changelog -S Version)
mkdir "$tree"
git ls-files -z | tar -c --null -T - | tar -x -C "$tree"
cp -a deploy/debian "$tree"
cd "$tree"
log=$work/log
if [ -n "$build" ]; then
  # No build dependency is needed.
  CANOPY_BUILD=$build DEB_BUILD_OPTIONS=noautodbgsym dpkg-buildpackage -b -us -uc -d >"$log" 2>&1 || { cat "$log"; exit 1; }
  cp "$work"/*.deb "$directory"
else
  dpkg-source -b . >"$log" 2>&1 || { cat "$log"; exit 1; }
  cp "$work"/*.dsc "$work"/*.tar.* "$directory"
fi
