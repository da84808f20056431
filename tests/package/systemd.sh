#!/usr/bin/env bash
# The packages under systemd itself, in a container of Debian 12: installs, starts, serves, reloads, comes back after a kill,
# stops within its grace, goes away. By hand: it takes minutes, the first time. machine.sh says what it needs.
#
#   tests/package/systemd.sh [DIRECTORY]      where the packages are (build)
set -euo pipefail
packages=$(realpath "${1:-$(dirname "$0")/../../build}")
source "$(dirname "$0")/machine.sh"
machine=canopy-test-$$

inside() { docker exec "$machine" "$@"; }
fail() { echo "FAILED: $*" >&2; inside journalctl --no-pager -n 50 -u 'canopy*' >&2 || true; exit 1; }

# The network is the machine's, for apt.
say "starting systemd"
trap 'docker rm -f "$machine" >/dev/null' EXIT
boot "$machine" --network host -v "$packages:/packages:ro"

say "installing"
inside sh -c 'apt-get -qq update && apt-get -qqy install /packages/canopy_*.deb >/dev/null'
inside systemctl is-active canopy.target >/dev/null && fail "it has started by itself"
[ "$(inside stat -c %U /etc/canopy/cluster.yaml)" = root ] || fail "whose is cluster.yaml?"

# Not the ports of a cluster that runs on this machine.
inside sed -i -E 's/127\.0\.0\.1:(5|8)/127.0.0.1:2\1/; s/^ *http: 127.*8550.*/  http: 127.0.0.1:28550/' /etc/canopy/cluster.yaml
broker=tcp://127.0.0.1:25550
units='canopy-broker canopy-shard@results canopy-shard@rest canopy-proxy@p1 canopy-proxy@p2'

say "starting the cluster"
# shellcheck disable=SC2086
inside systemctl enable --quiet --now canopy.target $units || fail "it does not start"
# shellcheck disable=SC2086
for unit in $units; do
  [ "$(inside systemctl show -P User "$unit")" = canopy ] || fail "$unit does not run as canopy"
  inside systemctl show -P StatusText "$unit"
done

say "serving"
inside canopy --broker $broker put /results/eu/42 2:1 >/dev/null
[ "$(inside canopy --broker $broker get /results/eu/42)" = 2:1 ] || fail "what was put is not there"
inside canopy --broker $broker status || fail "something is not well"

say "reloading"
pid=$(inside systemctl show -P MainPID canopy-proxy@p1)
inside systemctl reload 'canopy-*.service' || fail "reload"
[ "$(inside systemctl show -P MainPID canopy-proxy@p1)" = "$pid" ] || fail "reload has restarted it"

say "coming back after kill -9"
inside systemctl kill -s KILL canopy-shard@results
for _ in $(seq 100); do
  [ "$(inside systemctl show -P NRestarts canopy-shard@results)" -ge 1 ] && inside systemctl is-active --quiet canopy-shard@results && break
  sleep 0.2
done
[ "$(inside canopy --broker $broker get /results/eu/42)" = 2:1 ] || fail "it is lost"

say "stopping"
start=$SECONDS
inside systemctl stop canopy.target
[ $((SECONDS - start)) -lt 30 ] || fail "that took $((SECONDS - start)) s"
# shellcheck disable=SC2086
for unit in $units; do
  [ "$(inside systemctl show -P Result "$unit")" = success ] || fail "$unit ended with $(inside systemctl show -P Result "$unit")"
done
inside journalctl --no-pager -o short-monotonic -u 'canopy-*' --grep '^Stopped|Stopping' | sed 's/^.*systemd/  systemd/' || true

say "removing, purging"
inside systemctl start canopy.target
inside sh -c 'DEBIAN_FRONTEND=noninteractive apt-get -qqy remove canopy >/dev/null'
inside pgrep canopy- && fail "something still runs"
inside test -d /var/lib/canopy/results || fail "removing has taken the state along"
inside sh -c 'DEBIAN_FRONTEND=noninteractive apt-get -qqy purge canopy >/dev/null'
inside test ! -e /var/lib/canopy -a ! -e /etc/canopy -a ! -e /etc/systemd/system/canopy.target.wants || fail "something is left"
say "all well"
