#!/usr/bin/env bash
# The machines of deploy/ec2/canopy.yaml under systemd, in containers of Debian 12: three of the state, each with a loop
# device as its volume, and a proxy. Each gets the files of the user data and runs first-boot, which fails once. Then a
# machine is lost, and a new one with the same volume replaces it. By hand: it takes minutes. machine.sh has the requirements.
#
#   tests/package/ec2.sh [DIRECTORY]      where the packages are (build)
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=$(realpath "${1:-build}")
programs=$(realpath "${CANOPY_BIN:-build/bin}")
source tests/package/machine.sh
require
name=canopy-test-$$
work=$(mktemp -d)
subnet=10.213.97
machines=(1 2 3 4)  # the last is the proxy's

inside() { local number=$1; shift; docker exec "$name-$number" "$@"; }
fail() {
  echo "FAILED: $*" >&2
  for number in "${machines[@]}"; do inside "$number" journalctl --no-pager -n 40 >&2 || true; done
  exit 1
}
clean_up() {
  for number in "${machines[@]}"; do docker rm -f "$name-$number" >/dev/null 2>&1 || true; done
  docker network rm "$name" >/dev/null 2>&1 || true
  for file in "$work"/volume-*; do losetup -j "$file" | cut -d: -f1 | xargs -r losetup -d; done
  rm -rf "$work"
}
trap clean_up EXIT

# What the user data writes, and the tags and the package that a machine is given: all in one tree.
PYTHONPATH=. /usr/bin/python3 - "$work" $subnet "$(sha256sum "$packages"/canopy-server_*.deb | cut -d' ' -f1)" "$programs/canopy" <<'PYTHON'
import pathlib, sys
from tests.harness import ec2

work, subnet, digest = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
values = {f"State{i}Address": f"{subnet}.{10 + i}" for i in (1, 2, 3)}
values |= {"MaxClients": "100", **ec2.keys(work, sys.argv[4]), "PackageUrl": "file:///packages/canopy.deb", "PackageSha256": digest}
template = ec2.template()
files = ec2.files(ec2.filled_in(ec2.user_data(template), values))
# Files in place of the metadata, the parameter store and CloudFormation.
scripts = "/usr/local/lib/canopy-machine"
files[f"{scripts}/metadata"] = '#!/bin/sh\ncat "/metadata/$1" || exit 22\n'
# The first try of each first-boot finds no key; the next one must go on from there.
files[f"{scripts}/cluster-key"] = """#!/bin/sh
[ -e /metadata/tried ] || { touch /metadata/tried; exit 1; }
exec cat /metadata/cluster.key_secret
"""
files[f"{scripts}/signal"] = "#!/bin/sh\ntouch /metadata/signalled\n"
# Nothing here needs the AWS command line, which is big.
files[f"{scripts}/first-boot"] = files[f"{scripts}/first-boot"].replace("awscli ", "")
for number, machine in enumerate(["State1", "State2", "State3", "NativeGroup"], 1):
    root = work / f"root-{number}"
    tags = root / "metadata/tags/instance"
    tags.mkdir(parents=True)
    (tags / "canopy-units").write_text(" ".join(ec2.units(template, machine, values)))
    (root / "metadata/cluster.key_secret").write_bytes((work / "cluster.key_secret").read_bytes())
    if number < 4:
        (tags / "canopy-volume").write_text(f"vol-{number}")
    for path, text in files.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if text.startswith("#!") else 0o644)
brokers = ec2.filled_in(template["Outputs"]["Brokers"]["Value"]["Sub"], values)
(work / "brokers").write_text(brokers)
PYTHON
mkdir "$work/packages"
cp "$packages"/canopy-server_*.deb "$work/packages/canopy.deb"
cp "$packages"/canopy-tools_*.deb "$work/packages/tools.deb"
docker network create --subnet $subnet.0/24 "$name" >/dev/null
for number in 1 2 3; do
  truncate -s 256M "$work/volume-$number"
  losetup -f "$work/volume-$number"
done

machine() {  # NUMBER: a new one, up to the end of first-boot
  local number=$1 device options=()
  if [ "$number" != 4 ]; then
    device=$(losetup -j "$work/volume-$number" | cut -d: -f1)
    options=(--device "$device" --device "$device:/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol$number")
  fi
  boot "$name-$number" --network "$name" --ip $subnet.$((10 + number)) --hostname "ip-$number" \
    -v "$work/packages:/packages:ro" "${options[@]}"
  docker cp "$work/root-$number/." "$name-$number:/"
  docker cp "$work/client.key_secret" "$name-$number:/metadata/"
  docker cp "$work/cluster.key" "$name-$number:/metadata/"
  # runcmd without Systems Manager.
  inside "$number" systemctl daemon-reload
  inside "$number" systemctl enable --quiet first-boot
  inside "$number" systemctl start --no-block first-boot
  for _ in $(seq 600); do inside "$number" test -e /metadata/signalled && break; sleep 1; done
  inside "$number" test -e /metadata/signalled || fail "first-boot of machine $number"
  inside "$number" test -e /metadata/tried || fail "first-boot of machine $number did not fail first"
  inside "$number" apt-get -qqy install /packages/tools.deb >/dev/null 2>&1 || fail "canopy-tools"
}
keys=(-e CANOPY_KEY=/metadata/client.key_secret -e CANOPY_SERVER_KEY=/metadata/cluster.key)
canopy() { docker exec "${keys[@]}" "$name-4" canopy --broker "$(cat "$work/brokers")" --timeout 30s "$@"; }
well() {
  for _ in $(seq 300); do docker exec "${keys[@]}" "$name-$1" canopy status >"$work/status" 2>&1 && return; sleep 0.2; done
  cat "$work/status" >&2
  fail "canopy status on machine $1"
}

say "first boot"
starting=()
for number in "${machines[@]}"; do
  machine "$number" &
  starting+=($!)
done
for each in "${starting[@]}"; do wait "$each"; done
for number in 1 2 3; do
  well "$number"
  inside "$number" findmnt -no FSTYPE,SOURCE /var/lib/canopy
  [ "$(inside "$number" stat -c %U /var/lib/canopy/etcd "/var/lib/canopy/s$number" | sort -u)" = canopy ] || fail "the state does not belong to canopy"
  inside "$number" systemctl is-active --quiet etcd && fail "Debian's own etcd runs"
  inside "$number" systemctl is-enabled --quiet canopy-broker "canopy-shard@s$number" "etcd-member@$subnet.$((10 + number))" \
    || fail "the units do not start at the next boot"
done
cat "$work/status"

say "losing machine 1"
canopy put /results/a 1 >/dev/null
docker kill "$name-1" >/dev/null
canopy put /results/a 2 >/dev/null || fail "no write without machine 1"
[ "$(canopy get /results/a)" = 2 ] || fail "the value is lost"

say "a new machine 1 with the same volume"
while docker inspect "$name-1" >/dev/null 2>&1; do sleep 0.1; done
machine 1
well 1
[ "$(canopy get /results/a)" = 2 ] || fail "the value is lost"

say "restart of a killed etcd"
inside 1 systemctl kill -s KILL "etcd-member@$subnet.11"
sleep 2
well 1
inside 1 systemctl is-active --quiet "etcd-member@$subnet.11" || fail "etcd does not restart"

say "the proxy's machine is to end"
inside 4 sh -c 'mkdir -p /metadata/autoscaling; printf Terminated >/metadata/autoscaling/target-lifecycle-state'
for _ in $(seq 100); do inside 4 systemctl is-active --quiet canopy-proxy@proxy-ip-4 || break; sleep 0.2; done
[ "$(inside 4 systemctl show -P Result canopy-proxy@proxy-ip-4)" = success ] || fail "the proxy did not stop in order"
inside 4 systemctl is-active --quiet canopy-proxy@proxy-ip-4 && fail "the proxy still runs"
say "passed"
