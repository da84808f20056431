#!/usr/bin/env bash
# Pulls the base image of the Dockerfiles. Where no registry can be reached, makes it from Debian's packages, which takes
# minutes.
#
#   deploy/base-image.sh [PACKAGE...]      debian:bookworm-slim; BASE=… for another name, RELEASE=trixie for Debian 13,
#                                          MIRROR=… for another mirror
#
# With packages named, the script does not pull: it makes an image that has them.
#
# Does nothing when docker has the image. Needs docker; to make the image, root or sudo too.
set -euo pipefail
cd "$(dirname "$0")/.."

base=${BASE:-debian:bookworm-slim}
mirror=()  # none: Debian's own, with its updates
if [ -n "${MIRROR:-}" ]; then mirror=("$MIRROR"); fi

if docker image inspect "$base" >/dev/null 2>&1; then
  echo "base-image: $base is here"
  exit 0
fi
if [ $# -eq 0 ]; then
  echo "base-image: pulling $base"
  if timeout 300 docker pull --quiet "$base" 2>/dev/null; then exit 0; fi
  echo "base-image: no registry has it"
fi

echo "base-image: making $base from Debian's packages"
deploy/setup.sh --image
root=()
if [ "$(id -u)" -ne 0 ]; then root=(sudo); fi
# The slim images leave these paths out.
options=()
if [ $# -gt 0 ]; then options+=("--include=$(IFS=,; echo "$*")"); fi
for path in doc man info locale groff lintian linda; do options+=("--dpkgopt=path-exclude=/usr/share/$path/*"); done
# Through a file: an incomplete system must not become an image.
tree=$(mktemp --suffix=.tar)
trap 'rm -f "$tree"' EXIT
"${root[@]}" mmdebstrap --quiet --variant=minbase --aptopt='APT::Install-Recommends "false"' "${options[@]}" \
  --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-include=/usr/share/locale/locale.alias' \
  "${RELEASE:-bookworm}" "$tree" "${mirror[@]}"
docker import --change 'CMD ["bash"]' "$tree" "$base" >/dev/null
echo "base-image: made $base, $(docker image inspect --format '{{.Size}}' "$base" | numfmt --to=iec)"
