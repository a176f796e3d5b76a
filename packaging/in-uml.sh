#!/usr/bin/env bash
# Runs a command in a Linux of its own, the kernel of Debian's package user-mode-linux, to see it on an older kernel
# than this machine's; needs no privileges:
#   in-uml.sh COMMAND [ARGUMENT...]
# The command is root there and starts in this folder with PATH and JAVA_HOME as here. It sees this machine's files, but
# cannot write them; /tmp and /run are its own; the network is lo. What it prints is printed at its end, and its exit
# code is given; 124 after UML_TIMEOUT seconds (300). UML_MEM is its memory (1024M), UML_MODULES the kernel's modules that
# are loaded (veth), each after those it needs.
set -euo pipefail

if [ $$ = 1 ]; then # the first process inside
  project=$(cd -- "${BASH_SOURCE[0]%/*}/.." && pwd -P)
  mount -t proc proc /proc
  mount -t sysfs sysfs /sys
  mount -t tmpfs tmpfs /tmp
  mount -t tmpfs tmpfs /run
  ln -s /proc/self/fd /dev/fd # udev's work elsewhere
  case $project in # a checkout there would be hidden
    /tmp/* | /run/*) mkdir -p "$project" && mount -t hostfs -o "$project" none "$project" ;;
  esac
  mkdir /run/share
  mount -t hostfs -o "$UML_SHARE" none /run/share
  # There need be no modprobe, but perl is on every Debian: finit_module(2).
  for module in $UML_MODULES; do
    file=$(find "/usr/lib/uml/modules/$(uname -r)" -name "$module.ko" -print -quit)
    perl -e 'open(my $f, "<", $ARGV[0]) or exit 1; my $none = ""; exit(syscall(313, fileno($f), $none, 0) != 0)' "$file" \
      || echo "in-uml.sh: cannot load module $module" >&2
  done
  PATH=$PATH:/usr/sbin:/sbin ip link set lo up || true
  code=0
  bash /run/share/command >/run/share/output 2>&1 </dev/null || code=$?
  echo "$code" >/run/share/code
  sync
  echo o >/proc/sysrq-trigger
  while :; do sleep 1; done
fi

[ $# -gt 0 ] || { echo "usage: ${0##*/} COMMAND [ARGUMENT...]" >&2; exit 2; }
command -v linux.uml >/dev/null \
  || { echo "${0##*/}: linux.uml is missing (apt-get install user-mode-linux)" >&2; exit 2; }
self=$(readlink -f -- "$0")
share=$(mktemp -d /var/tmp/ballast-uml.XXXXXX) # the guest has a /tmp of its own
trap 'rm -rf -- "$share"' EXIT
{
  printf 'cd %q\n' "$PWD"
  printf 'export PATH=%q JAVA_HOME=%q HOME=/tmp\n' "$PATH" "${JAVA_HOME-}"
  printf '%q ' exec "$@"
  echo
} >"$share/command"

timed=0
# Asynchronous, so that who ends this script ends the guest.
timeout "${UML_TIMEOUT:-300}" linux.uml "mem=${UML_MEM:-1024M}" rootfstype=hostfs rootflags=/ ro quiet \
  con=null con0=null,fd:1 "init=$self" "uml_dir=$share/" "UML_SHARE=$share" "UML_MODULES=\"${UML_MODULES:-veth}\"" \
  "PATH=/usr/sbin:/usr/bin:/sbin:/bin" \
  >"$share/console" 2>&1 </dev/null &
guest=$!
trap 'kill "$guest"; wait "$guest" || true; exit 1' TERM INT
wait "$guest" || timed=$?
trap - TERM INT
[ ! -e "$share/output" ] || cat -- "$share/output"
[ -e "$share/code" ] || {
  echo "${0##*/}: the guest ended without a result; its console said:" >&2
  tail -n 40 "$share/console" >&2
  [ "$timed" != 124 ] || exit 124
  exit 1
}
exit "$(cat -- "$share/code")"
