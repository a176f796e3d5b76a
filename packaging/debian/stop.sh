#!/bin/bash
# ExecStop and, with --after, ExecStopPost of ballast.service.
#
# On a restart the node process leaves its traffic worker to the next one, so that no connection is lost. On a stop
# nothing is done before: systemd's SIGTERM follows, and the daemon drains. Afterwards no worker may be left, unless
# another node process is to come; where none is, because the description has become wrong, that is said.
set -u

job() { systemctl list-jobs --no-legend ballast.service 2>/dev/null | grep -qE "(^| )ballast\.service +$1 "; }

# The traffic workers that are still in this unit's control group.
workers() {
  local group pid
  group=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/cgroup.procs
  [ -r "$group" ] || return
  while read -r pid; do
    ! tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q ' io\.ballast\.director\.worker\.TrafficWorker ' || echo "$pid"
  done <"$group"
}

if [ "${1-}" != --after ]; then
  if job restart; then
    /usr/bin/ballast stop --keep-worker >/dev/null
    # Until it is gone: a SIGTERM after this script would end it in another way.
    timeout 20 tail --pid="$MAINPID" -f /dev/null
  fi
  exit 0
fi

read -ra left <<<"$(workers | tr '\n' ' ')"
[ ${#left[@]} -gt 0 ] || exit 0
if job stop; then
  echo "<4>the traffic worker ${left[*]} was left and is ended"
  kill -KILL "${left[@]}"
elif [[ ${EXIT_STATUS-} == [23] ]]; then
  echo "<4>the traffic worker ${left[*]} goes on with what it was last told, and nobody checks its servers: mend what is" \
    "said above and \"systemctl start ballast\", or end the worker too with \"systemctl kill ballast\""
fi
exit 0
