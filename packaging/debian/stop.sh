#!/bin/bash
# ExecStop of ballast.service: on a restart the node process leaves its traffic worker to the next one, so that no
# connection is lost. On a stop nothing is done here: systemd's SIGTERM follows, and the daemon drains.
set -u
if systemctl list-jobs --no-legend 2>/dev/null | grep -qE '(^| )ballast\.service +restart '; then
  # Until it is gone: a SIGTERM after this script would end it in another way.
  /usr/bin/ballast stop --keep-worker && tail --pid="$MAINPID" -f /dev/null
fi
exit 0
