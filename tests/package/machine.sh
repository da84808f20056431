# Containers that run systemd on Debian 12, for the scripts of this directory. Needs root, docker, mmdebstrap, and a Debian
# mirror. The image canopy-test-systemd is kept for the next time.
image=canopy-test-systemd

say() { echo "== $*"; }

# Ends the script where no such container can run, and prints why.
require() {
  local missing=()
  for program in docker mmdebstrap; do command -v $program >/dev/null || missing+=("$program"); done
  if [ "$(id -u)" != 0 ]; then missing+=(root); fi
  if [ ${#missing[@]} -gt 0 ]; then echo "skipped: needs ${missing[*]}"; exit 0; fi
  docker info >/dev/null 2>&1 || { echo "skipped: docker does not run"; exit 0; }
}

# boot NAME OPTION...: starts one, with further options of `docker run`.
boot() {
  local name=$1
  shift
  if ! docker image inspect $image >/dev/null 2>&1; then
    say "making $image"
    mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,procps,dbus bookworm - | docker import - $image >/dev/null
  fi
  # systemd needs a few mounts of its own: SYS_ADMIN, no more.
  docker run -d --rm --name "$name" --cap-add SYS_ADMIN --security-opt seccomp=unconfined \
    --security-opt apparmor=unconfined --tmpfs /run --tmpfs /run/lock --tmpfs /tmp:exec -e container=docker \
    -v /sys/fs/cgroup:/sys/fs/cgroup:rw "$@" $image /lib/systemd/systemd >/dev/null
  for _ in $(seq 100); do
    docker exec "$name" systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded' && return
    sleep 0.2
  done
  echo "FAILED: $name does not boot" >&2
  return 1
}
