#!/usr/bin/env bash
# The packages under systemd itself, in a container of Debian 12 that is made with debootstrap: installs, starts, serves,
# reloads, comes back after a kill, stops within its grace, goes away. By hand: it takes minutes, the first time.
#
#   tests/package/systemd.sh [DIRECTORY]      where the packages are (build)
#
# Needs root, docker, debootstrap, and a Debian mirror. Keeps the image canopy-test-systemd for the next time.
set -euo pipefail
packages=$(realpath "${1:-$(dirname "$0")/../../build}")
image=canopy-test-systemd
machine=canopy-test-$$

say() { echo "== $*"; }
inside() { docker exec "$machine" "$@"; }
fail() { echo "FAILED: $*" >&2; inside journalctl --no-pager -n 50 -u 'canopy*' >&2 || true; exit 1; }

if ! docker image inspect $image >/dev/null 2>&1; then
  say "making $image"
  tree=$(mktemp -d)
  debootstrap --variant=minbase --include=systemd,systemd-sysv,procps,dbus bookworm "$tree" >"$tree.log" || { cat "$tree.log"; exit 1; }
  tar -C "$tree" -c . | docker import - $image >/dev/null
  rm -rf "$tree" "$tree.log"
fi

# systemd needs a few mounts of its own: SYS_ADMIN, no more. The network is the machine's, for apt.
say "starting systemd"
docker run -d --rm --name "$machine" --network host --cap-add SYS_ADMIN --security-opt seccomp=unconfined \
  --security-opt apparmor=unconfined --tmpfs /run --tmpfs /run/lock --tmpfs /tmp:exec -e container=docker \
  -v /sys/fs/cgroup:/sys/fs/cgroup:rw -v "$packages:/packages:ro" $image /lib/systemd/systemd >/dev/null
trap 'docker rm -f "$machine" >/dev/null' EXIT
for _ in $(seq 100); do inside systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded' && break; sleep 0.2; done

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
