#!/usr/bin/env bash
# The packages under systemd, in a container of Debian 12: installation, deploy/debian/tests/cluster, removal, purge. By
# hand: it takes minutes, the first time. machine.sh has the requirements.
#
#   tests/package/systemd.sh [DIRECTORY]      where the packages are (build)
set -euo pipefail
packages=$(realpath "${1:-$(dirname "$0")/../../build}")
source "$(dirname "$0")/machine.sh"
require
tests=$(realpath "$(dirname "$0")/../../deploy/debian/tests")
machine=canopy-test-$$

inside() { docker exec "$machine" "$@"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

# apt needs the network of this machine.
say "starting systemd"
trap 'docker rm -f "$machine" >/dev/null' EXIT
boot "$machine" --network host -v "$packages:/packages:ro" -v "$tests:/tests:ro"

say "installing"
before=$(cat /proc/sys/net/core/wmem_max)
inside sh -c 'apt-get -qq update && apt-get -qqy install /packages/canopy-server_*.deb /packages/canopy-tools_*.deb >/dev/null'
[ "$(cat /proc/sys/net/core/wmem_max)" -ge "$before" ] || fail "a kernel limit is lower than before"

# A cluster on this machine may have the ports of the file.
inside sed -i -E 's/127\.0\.0\.1:(5|8)/127.0.0.1:2\1/' /etc/canopy/cluster.yaml
inside /tests/cluster

say "removing, purging"
inside systemctl start canopy.target
inside sh -c 'DEBIAN_FRONTEND=noninteractive apt-get -qqy remove canopy-server >/dev/null'
inside pgrep canopy- && fail "a process still runs"
inside test -d /var/lib/canopy/results || fail "removal has deleted the state"
inside sh -c 'DEBIAN_FRONTEND=noninteractive apt-get -qqy purge canopy-server >/dev/null'
inside test ! -e /var/lib/canopy -a ! -e /etc/canopy -a ! -e /etc/systemd/system/canopy.target.wants || fail "a file is left"
say "passed"
