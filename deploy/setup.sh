#!/usr/bin/env bash
# Installs the Debian packages that building, testing, checking and measuring Canopy need, where they are missing.
#
#   deploy/setup.sh [--build] [--test] [--check] [--fuzz] [--coverage] [--bench] [--run] [--image] [--docs]
#
# No group named: build, test, check and fuzz. --run is what built programs need, --image what deploy/base-image.sh does.
#
# Says nothing when nothing is missing. Needs root, or sudo. Starts no service.
set -euo pipefail

build=(g++ cmake ninja-build ccache pkg-config debhelper dpkg-dev
       libzmq3-dev cppzmq-dev libboost-dev libboost-program-options-dev libyaml-cpp-dev libmsgpack-cxx-dev
       libfmt-dev libsodium-dev librocksdb-dev libjemalloc-dev liblz4-dev
       nlohmann-json3-dev prometheus-cpp-dev libcivetweb-dev libcurl4-openssl-dev zlib1g-dev # the last: prometheus-cpp's CMake files
       libgtest-dev libgmock-dev python3)
test=(python3 python3-pytest python3-pytest-xdist python3-zmq python3-yaml python3-msgpack prometheus tcpdump chromium-headless-shell
      dpkg-dev lintian man-db systemd python3-venv python3-jsonschema openjdk-17-jdk-headless libjeromq-java faketime haproxy
      iproute2 iputils-ping nftables etcd-server)
check=(clang-format clang-tidy g++ python3 python3-yaml)
fuzz=(clang libclang-rt-14-dev)
coverage=(gcovr)
bench=(nats-server redis-server mosquitto libbenchmark-dev)
run=(libzmq5 libyaml-cpp0.7 libboost-program-options1.74.0 libfmt9 librocksdb7.8 libjemalloc2 liblz4-1 libsodium23
     libprometheus-cpp-core1.0 libcivetweb1 libcurl4) # what the programs are linked to
image=(mmdebstrap)
docs=(doxygen python3 python3-yaml)

wanted=()
for group in "${@:---build --test --check --fuzz}"; do
  for name in $group; do
    case "$name" in
      --build) wanted+=("${build[@]}") ;;
      --test) wanted+=("${test[@]}") ;;
      --check) wanted+=("${check[@]}") ;;
      --fuzz) wanted+=("${fuzz[@]}") ;;
      --coverage) wanted+=("${coverage[@]}") ;;
      --bench) wanted+=("${bench[@]}") ;;
      --run) wanted+=("${run[@]}") ;;
      --image) wanted+=("${image[@]}") ;;
      --docs) wanted+=("${docs[@]}") ;;
      *) echo "usage: $0 [--build] [--test] [--check] [--fuzz] [--coverage] [--bench] [--run] [--image] [--docs]" >&2; exit 2 ;;
    esac
  done
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "setup: no apt-get here; make sure to have what Debian 12 calls: ${wanted[*]}" >&2
  exit 0
fi

installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
  grep -qxF "$package installed" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: run as root, or install sudo: missing ${missing[*]}" >&2; exit 1; }
  root=(sudo)
fi

# Debian's packages of prometheus, HAProxy and other brokers bring a service that would start at once and at each boot.
# Only the program is wanted: for the time of the installation every start is refused, and afterwards the new service is
# disabled.
policy=/usr/sbin/policy-rc.d
refuse_services() {
  if [ -e $policy ]; then "${root[@]}" mv $policy $policy.canopy; fi
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
  "${root[@]}" chmod 755 $policy
}
restore_services() {
  "${root[@]}" rm -f $policy
  if [ -e $policy.canopy ]; then "${root[@]}" mv $policy.canopy $policy; fi
}
disable_service() {
  if [ -d /run/systemd/system ]; then "${root[@]}" systemctl disable --quiet "$1" || true; fi
  "${root[@]}" update-rc.d "$1" disable >/dev/null 2>&1 || true
}

echo "setup: installing ${missing[*]}"
trap restore_services EXIT
refuse_services
apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
for service in prometheus haproxy nats-server redis-server mosquitto; do
  if [[ " ${missing[*]} " == *" $service "* ]]; then disable_service $service; fi
done
if [[ " ${missing[*]} " == *" etcd-server "* ]]; then disable_service etcd; fi
echo "setup: done"
