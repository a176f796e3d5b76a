#!/usr/bin/env bash
# Tries a package under a real systemd: packaging/test-systemd.sh target/ballast_*.deb
#
# Boots a machine of its own: a minimal Debian without Java, on Debian's user-mode Linux, which is a kernel that runs as
# an ordinary process. There packaging/test-systemd-guest.sh installs the package with apt, starts, reloads, restarts,
# freezes, upgrades, stops and purges it under load, and says for each whether it went as the documents claim. The
# machine has loopback and wires of its own only, and ends with its test; no namespace or device is made on the host.
#
# Wants root, and the packages mmdebstrap, user-mode-linux and e2fsprogs. The first run makes the root file system from
# Debian's archive (a minute) and keeps it in the cache folder; --fresh makes it again. A run takes about five minutes;
# --keep leaves its work folder, with the machine's whole journal in it.
set -euo pipefail

usage() {
  echo "usage: $0 [--fresh] [--keep] PACKAGE.deb" >&2
  exit 2
}

fresh='' keep=''
while [ $# -gt 0 ]; do
  case $1 in
    --fresh) fresh=1 ;;
    --keep) keep=1 ;;
    -*) usage ;;
    *) break ;;
  esac
  shift
done
if [ $# != 1 ] || [ ! -r "$1" ]; then usage; fi
deb=$(readlink -f -- "$1")
here=$(cd -- "${BASH_SOURCE[0]%/*}" && pwd -P)

[ "$UID" = 0 ] || { echo "$0: making a root file system needs root" >&2; exit 3; }
missing=()
for pair in mmdebstrap:mmdebstrap linux.uml:user-mode-linux mkfs.ext4:e2fsprogs; do
  command -v "${pair%:*}" >/dev/null || missing+=("${pair#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  printf '%s: some programs are missing. Install them with:\n  apt-get install -y --no-install-recommends %s\n' "$0" "${missing[*]}" >&2
  exit 1
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/ballast-systemd.XXXXXX")
kernel=
clean() {
  # The machine is a group of processes: its kernel, and one for each of its processes.
  [ -z "$kernel" ] || kill -KILL -- "-$kernel" 2>/dev/null || true
  if [ -n "$keep" ]; then
    echo "kept: $work"
  else
    rm -rf -- "$work"
  fi
}
trap clean EXIT
trap 'exit 1' INT TERM HUP

cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ballast
tar=$cache/systemd-root-2.tar
if [ -n "$fresh" ] || [ ! -s "$tar" ]; then
  echo "making the root file system from Debian's archive"
  mkdir -p -- "$cache"
  packages=systemd-sysv,dbus,iproute2,iputils-ping,python3,libbpf1
  if ! mmdebstrap --quiet --variant=minbase "--include=$packages" bookworm "$work/root.tar" >"$work/log" 2>&1; then
    tail -n 20 "$work/log" >&2
    exit 1
  fi
  mv -- "$work/root.tar" "$tar"
fi

mkdir "$work/root" "$work/share"
tar -C "$work/root" -xf "$tar" --exclude='./dev/*'
cp -- "$deb" "$work/share/ballast.deb"
cp -- "$here/test-systemd-guest.sh" "$work/share/guest.sh"
find /usr/lib/uml/modules -name veth.ko -exec cp -- {} "$work/share/" \;
# The next version: its jars have other names and times, as in an upgrade, so the running one loses its files.
dpkg-deb -R "$deb" "$work/next"
sed -i 's/^Version: .*/Version: 99/' "$work/next/DEBIAN/control"
for jar in "$work"/next/usr/lib/ballast/lib/*-0.*.jar; do
  mv -- "$jar" "${jar%-0.*}-99.jar"
done
sed -i 's#\(lib/[a-z]*\)-0\..*\.jar#\1-99.jar#' "$work/next/DEBIAN/md5sums"
dpkg-deb --root-owner-group -Znone --build "$work/next" "$work/share/next.deb" >/dev/null
rm -rf "$work/next"

# The test is a service of the machine; what it says comes out through a folder of the host (hostfs).
units=$work/root/etc/systemd/system
cat >"$units/run-share.mount" <<UNIT
[Unit]
DefaultDependencies=no
[Mount]
What=none
Where=/run/share
Type=hostfs
Options=$work/share
UNIT
cat >"$units/proof.service" <<'UNIT'
[Unit]
Requires=run-share.mount
After=run-share.mount basic.target network.target
[Service]
Type=oneshot
ExecStart=/bin/bash -c 'exec /bin/bash /run/share/guest.sh >/run/share/out 2>&1'
ExecStopPost=/bin/systemctl --force poweroff
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$units/multi-user.target.wants"
ln -s ../proof.service "$units/multi-user.target.wants/"
# The machine has no more of this than it needs; what cannot work there would only fill its journal.
ln -sf /dev/null "$units/kmod-static-nodes.service"
ln -sf /dev/null "$units/proc-sys-fs-binfmt_misc.automount"
ln -sf /dev/null "$units/systemd-binfmt.service"
truncate -s 2G "$work/disk"
mkfs.ext4 -q -F -d "$work/root" "$work/disk"

echo "booting it"
: >"$work/share/out"
setsid linux.uml umid=ballast "uml_dir=$work/" mem=1536M "ubda=$work/disk" root=/dev/ubda rw con=null con0=null,fd:2 \
  init=/lib/systemd/systemd quiet </dev/null >"$work/console" 2>&1 &
kernel=$!
tail --pid=$kernel -n +1 -F "$work/share/out" 2>/dev/null &
timeout 1800 tail --pid=$kernel -f /dev/null || echo "FAIL  the machine did not end in 30 minutes"
wait $! || true # what it said, to the end

if ! tail -n 1 "$work/share/out" | grep -qx 'all is well'; then
  if [ ! -s "$work/share/out" ]; then
    echo "FAIL  the machine did not get as far as the test; its console said:"
    tail -n 30 "$work/console"
  fi
  exit 1
fi
