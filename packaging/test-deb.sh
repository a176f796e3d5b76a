#!/usr/bin/env bash
# Tries a package where no Java is: packaging/test-deb.sh target/ballast_*.deb
#
# Always: unpacks it into a temporary folder and runs it from there with an empty environment, and checks what is inside
# (systemd-analyze, man, lintian where they exist). With --install, as root: installs, runs and purges it by apt-get.
set -euo pipefail

install=
[ "${1-}" != --install ] || { install=1; shift; }
if [ $# != 1 ] || [ ! -r "$1" ]; then
  echo "usage: $0 [--install] PACKAGE.deb" >&2
  exit 2
fi
deb=$(readlink -f -- "$1")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

check() {
  local name=$1
  shift
  if "$@" >"$work/out" 2>&1; then
    echo "ok    $name"
  else
    echo "FAIL  $name ($*)"
    sed 's/^/      /' "$work/out"
    failed=1
  fi
}
failed=

root=$work/root
dpkg -x "$deb" "$root"
# The launcher names absolute paths; the unpacked copy has its own.
sed "s#/usr/lib/ballast#$root/usr/lib/ballast#g" "$root/usr/bin/ballast" >"$work/ballast"
chmod 755 "$work/ballast"
mkdir "$work/run"
clean() { env -i PATH=/usr/bin:/bin BALLAST_RUN_DIR="$work/run" "$@"; }
says() { local text=$1; shift; clean "$@" | grep -qF -- "$text"; }
exits() { local code=$1 got=0; shift; clean "$@" >/dev/null 2>&1 || got=$?; [ "$got" = "$code" ]; }

check "it runs without a Java of the system" says "ballast " "$work/ballast" version
check "the AOT cache fits where it is installed" clean BALLAST_JAVA_OPTS=-XX:AOTMode=on "$work/ballast" version
check "its own description is right" clean "$work/ballast" check "$root/etc/ballast/ballast.yaml"
check "the example is right" clean "$work/ballast" check "$root/usr/share/doc/ballast/examples/farm.yaml"
check "a wrong description ends with 2" exits 2 "$work/ballast" check /dev/null/none
check "without a daemon list ends with 1" exits 1 "$work/ballast" list
check "bash reads its completion" bash -n "$root/usr/share/bash-completion/completions/ballast"
check "the checksums are right" bash -c "dpkg-deb --control '$deb' '$work/DEBIAN' && cd '$root' && md5sum --quiet -c '$work/DEBIAN/md5sums'"
if command -v man >/dev/null; then
  check "man reads its page without a warning" bash -c "[ -z \"\$(MANROFFSEQ= man --warnings -l '$root/usr/share/man/man1/ballast.1.gz' 2>&1 >/dev/null)\" ]"
else
  echo "skip  man page: man is not installed (apt-get install man-db)"
fi
if command -v systemd-analyze >/dev/null; then
  # verify wants the programs that the unit names, so it looks at a copy that names the unpacked one.
  mkdir "$work/unit"
  for unit in ballast ballast-witness; do
    sed "s#/usr/bin/ballast#$work/ballast#; s#/usr/lib/ballast#$root/usr/lib/ballast#" "$root/usr/lib/systemd/system/$unit.service" >"$work/unit/$unit.service"
    check "systemd reads the unit $unit without a word" \
      bash -c "[ -z \"\$(systemd-analyze verify --man=no '$work/unit/$unit.service' 2>&1 | tee /dev/stderr)\" ]"
  done
else
  echo "skip  unit: systemd-analyze is not installed (apt-get install systemd)"
fi
if command -v lintian >/dev/null; then
  check "lintian has nothing to say" lintian --fail-on error,warning --suppress-tags bogus-mail-host "$deb"
else
  echo "skip  lintian is not installed (apt-get install lintian)"
fi

if [ -n "$install" ]; then
  check "apt installs it" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$deb"
  check "it runs where it is installed" says "ballast " /usr/bin/ballast version
  check "the AOT cache fits there" clean BALLAST_JAVA_OPTS=-XX:AOTMode=on /usr/bin/ballast version
  check "its description is right there" clean /usr/bin/ballast check
  check "apt purges it" env DEBIAN_FRONTEND=noninteractive apt-get purge -y ballast
  check "nothing is left" bash -c '! ls -d /usr/bin/ballast /usr/lib/ballast /etc/ballast /var/lib/ballast 2>/dev/null'
fi
[ -z "$failed" ]
