#!/bin/bash
# The part of packaging/test-systemd.sh that runs inside the machine: each line it prints is a claim, and how it went.
# After every step the load that runs meanwhile must have had an answer to each request.
# shellcheck disable=SC2016,SC2317  # commands are handed to functions, as words or as text
[ -s /run/share/guest.sh ] || { echo "this runs inside a machine: see test-systemd.sh" >&2; exit 2; }
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
cd /tmp || exit 1
failed=

say() { echo "$(cut -d. -f1 /proc/uptime)s $*"; }

# check CLAIM COMMAND...: what the command prints is shown when it fails.
check() {
  local claim=$1
  shift
  if "$@" >/tmp/check.out 2>&1; then
    say "ok    $claim"
  else
    say "FAIL  $claim ($*)"
    sed 's/^/      /' /tmp/check.out
    failed=1
  fi
}

# until_true SECONDS COMMAND...
until_true() {
  local end=$(($(cut -d. -f1 /proc/uptime) + $1))
  shift
  until "$@"; do
    [ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ] || { echo "not in time: $*"; return 1; }
    sleep 0.2
  done
}

not() { ! "$@"; }
both() { eval "$1" && eval "$2"; }
exits() { local want=$1 got=0; shift; "$@" || got=$?; echo "exit code $got"; [ "$got" = "$want" ]; }
says() { local text=$1; shift; "$@" 2>&1 | tee -a /dev/stderr | grep -qF -- "$text"; }
property() { systemctl show -P "$1" ballast.service; }
is() { local value; value=$(property "$1"); echo "$1=$value"; [ "$value" = "$2" ]; }
node() { property MainPID; }
worker() { ballast status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["worker"]["pid"])'; }
serving() { ballast status --json 2>/dev/null | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["worker"]["state"] != "serving")' 2>/dev/null; }
running() { is ActiveState active >/dev/null && serving; }
log() { journalctl --no-pager -q -u ballast -o cat "$@"; }
alive() { kill -0 "$1" 2>/dev/null; }
java_processes() { grep -lz '/usr/lib/ballast/runtime/bin/java' /proc/[0-9]*/cmdline 2>/dev/null; }

# ---- servers and clients ------------------------------------------------------------------------------------------

cat >/tmp/farm.py <<'PYTHON'
"""serve PORT: a page at /, and lines without end at /slow until there is a file /tmp/finish.
load OUT: 10 requests a second, each when it is due, until there is a file /tmp/load.stop.
slow OUT: one request for /slow."""
import os, socket, sys, threading, time

def answer(connection):
    with connection:
        request = connection.recv(4096)
        if b" /slow" not in request:
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nTest Page\n")
            return
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        number = 0
        while not os.path.exists("/tmp/finish"):
            connection.sendall(b"%d\n" % number)
            number += 1
            time.sleep(0.2)
        connection.sendall(b"end\n")

def serve(port):
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=100)
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

def ask(path, begun=None):
    with socket.create_connection(("127.0.0.1", 80), timeout=20) as client:
        client.sendall(b"GET %s HTTP/1.0\r\n\r\n" % path)
        text = b""
        while more := client.recv(65536):
            text += more
            if begun:
                open(begun, "w").close()
        return text

def load(out):
    asked, failures, lock = 0, [], threading.Lock()
    def one(at):
        try:
            text = ask(b"/")
            if not text.endswith(b"Test Page\n"):
                raise ValueError("answer %r" % text)
        except Exception as e:
            with lock:
                failures.append("%s %s" % (time.strftime("%T", time.localtime(at)), e))
    threads, begun = [], time.time()
    while not os.path.exists("/tmp/load.stop"):
        thread = threading.Thread(target=one, args=(time.time(),))
        thread.start()
        threads = [t for t in threads if t.is_alive()] + [thread]
        asked += 1
        time.sleep(max(0, begun + asked / 10 - time.time()))
    for thread in threads:
        thread.join()
    with open(out, "w") as file:
        print("%d requests, %d failed" % (asked, len(failures)), *failures[:20], sep="\n", file=file)

def slow(out):
    try:
        lines = ask(b"/slow", "/tmp/slow.begun").split(b"\r\n\r\n", 1)[1].decode().split()
        whole = lines[-1] == "end" and lines[:-1] == [str(n) for n in range(len(lines) - 1)]
        result = "whole" if whole else "torn after %d lines" % len(lines)
    except Exception as e:
        result = "failed: %s" % e
    with open(out, "w") as file:
        print(result, file=file)

globals()[sys.argv[1]](*sys.argv[2:])
PYTHON

farm() { systemd-run --quiet --collect "--unit=$1" /usr/bin/python3 /tmp/farm.py "${@:2}"; }

begin_slow() { # sets slow, once the answer has begun
  rm -f /tmp/finish /tmp/slow.out /tmp/slow.begun
  python3 /tmp/farm.py slow /tmp/slow.out &
  slow=$!
  until_true 60 test -e /tmp/slow.begun
}

# with_load CLAIM COMMAND...: the command succeeds, and meanwhile no request fails and a long answer arrives whole.
with_load() {
  local claim=$1
  shift
  rm -f /tmp/load.stop /tmp/load.out
  python3 /tmp/farm.py load /tmp/load.out &
  local load=$!
  begin_slow
  check "$claim" "$@"
  sleep 1
  touch /tmp/load.stop /tmp/finish
  wait $load "$slow"
  check "  and meanwhile $(head -n 1 /tmp/load.out), and a long answer arrived $(cat /tmp/slow.out)" \
    both 'grep -q " 0 failed" /tmp/load.out || { cat /tmp/load.out; false; }' 'grep -qx whole /tmp/slow.out'
}

# ---- a machine without Java, and the package ----------------------------------------------------------------------

say "$(systemctl --version | head -n 1), Linux $(uname -r)"
check "there is no Java" not command -v java
check "apt installs the package" apt-get install -y --no-install-recommends /run/share/ballast.deb
check "nothing was started or enabled" both 'is ActiveState inactive' 'is UnitFileState disabled'
check "systemd reads the unit without a word" bash -c '[ -z "$(systemd-analyze verify --man=no ballast.service 2>&1 | tee -a /dev/stderr)" ]'
check "its man page, completion and example are there" \
  ls /usr/share/man/man1/ballast.1.gz /usr/share/bash-completion/completions/ballast /etc/ballast/ballast.yaml
check "the description that it brings is right" ballast check

# ---- wrong descriptions -------------------------------------------------------------------------------------------

mv /etc/ballast/ballast.yaml /tmp/installed.yaml
check "without a description it does not start" not systemctl start ballast
check "  and says what is missing" says "/etc/ballast/ballast.yaml: no such file" log
check "  and is not tried again" both 'is ActiveState failed' 'is NRestarts 0'

printf 'services:\n  web: { lisen: "127.0.0.1:80" }\n' >/etc/ballast/ballast.yaml
check "with a wrong description it does not start" not systemctl start ballast
check "  and says where, with the priority of an error" \
  says '/etc/ballast/ballast.yaml:2:10: error: services.web.lisen: unknown key "lisen"; did you mean "listen"?' log -p err
check "  and is not tried again" both 'is ActiveState failed' 'is NRestarts 0'
check "  and systemctl status shows it" says 'did you mean "listen"?' systemctl status ballast --no-pager

# ---- start, and the limits that the unit sets ---------------------------------------------------------------------

printf '#!/bin/sh\necho "$BALLAST_SERVICE $BALLAST_SERVER" >>/var/lib/ballast/hook.log\n' >/etc/ballast/hook
printf '#!/bin/sh\necho "plugin says hello" >/tmp/plugin && cat /tmp/plugin\n' >/etc/ballast/plugin
chmod 755 /etc/ballast/hook /etc/ballast/plugin
cat >/tmp/good.yaml <<'YAML'
name: proof
services:
  web:
    listen: ["127.0.0.1:80/tcp"]
    scheduler: wlc
    timeouts: { drain: 2m }
    checks:
      - { type: http, path: /, expect: { text: Test Page } }
      - { type: icmp, interval: 5s }
      - { name: ping, type: exec, command: [/bin/ping, -c1, -W2, "${address}"], interval: 10s, timeout: 9s }
      - { name: plugin, type: exec, command: [/etc/ballast/plugin], interval: 10s, timeout: 9s }
    servers:
      - { name: www1, address: "127.0.0.1:8081" }
      - { name: www2, address: "127.0.0.1:8082" }
      - { name: gone, address: "127.0.0.1:8083", checks: [{ type: tcp }] }
    hooks: { server-down: /etc/ballast/hook }
YAML
cp /tmp/good.yaml /etc/ballast/ballast.yaml
farm www1 serve 8081
farm www2 serve 8082

check "it starts" systemctl start ballast
check "systemd knows what it does" says '1 service from /etc/ballast/ballast.yaml' property StatusText
state() { ballast list --json | python3 -c '
import json, sys
for service in json.load(sys.stdin)["services"]:
    for server in service["servers"]:
        print(server["name"], server["state"])'; }
check "checks by HTTP, ICMP and programs find the servers up" until_true 60 both 'state | grep -qx "www1 up"' 'state | grep -qx "www2 up"'
check "a server that is not there is found down" until_true 60 both 'state | grep -qx "gone down"' true
check "  and the hook was run" until_true 30 grep -qx "web gone" /var/lib/ballast/hook.log
check "no check complains of the limits" bash -c '! journalctl -q -u ballast -o cat -p warning --since -2min | grep -E "www[12]"'
check "it runs with five capabilities, no new ones and a filter of system calls" bash -c '
  status=/proc/'"$(node)"'/status
  grep -E "^(Cap|NoNewPrivs|Seccomp)" $status
  grep -qx "CapBnd:.000000c000003400" $status && grep -qx "NoNewPrivs:.1" $status && grep -qx "Seccomp:.2" $status'
check "its socket is for root only" bash -c '[ "$(stat -c %a /run/ballast /run/ballast/control.sock | tr "\n" " ")" = "700 600 " ]'
check "an ordinary user may check a description" runuser -u nobody -- ballast check /etc/ballast/ballast.yaml
check "  and is told that the table is not for him" exits 3 runuser -u nobody -- ballast list --socket /run/ballast/control.sock
check "no line of the journal has a raw priority in it" bash -c '! journalctl -q -u ballast -o cat | grep -E "^<[0-7]>"'
check "a server that is down is a warning there" says "web/gone is down" log -p warning

# ---- while traffic flows ------------------------------------------------------------------------------------------

reload_heavier() {
  sed 's/name: www1,/name: www1, weight: 3,/' /tmp/good.yaml >/etc/ballast/ballast.yaml
  systemctl reload ballast && ballast list --json | grep -qE '"weight": ?3'
}
reload_wrong() {
  echo 'wrong: true' >>/etc/ballast/ballast.yaml
  systemctl reload ballast && return 1
  is ActiveState active && ballast list --json | grep -qE '"weight": ?3' && log -p warning | tail -n 3 | grep 'unknown key'
}
restart() {
  local node worker
  node=$(node) worker=$(worker)
  systemctl restart ballast && until_true 60 running && [ "$(node)" != "$node" ] && [ "$(worker)" = "$worker" ]
}
no_resurrection() { # a server that was down before is not given another chance by a restart
  ! log --since "$1" | grep 'web/gone is up'
}
kill_node() { # SIGNAL
  local node worker restarts
  node=$(node) worker=$(worker) restarts=$(property NRestarts)
  kill "-$1" "$node"
  until_true 60 both '[ "$(property NRestarts)" = '$((restarts + 1))' ]' running && [ "$(worker)" = "$worker" ]
}
kill_worker() {
  local worker
  worker=$(worker)
  kill -KILL "$worker"
  until_true 60 both serving '[ "$(worker)" != '"$worker"' ]'
}
restart_wrong() {
  local worker
  worker=$(worker)
  cp /etc/ballast/ballast.yaml /tmp/before.yaml
  echo 'wrong: true' >>/etc/ballast/ballast.yaml
  systemctl restart ballast && return 1
  is ActiveState failed && is NRestarts 0 && alive "$worker" && log -p warning | tail -n 3 | grep "the traffic worker $worker goes on" || return 1
  mv /tmp/before.yaml /etc/ballast/ballast.yaml
  systemctl start ballast && until_true 60 running && [ "$(worker)" = "$worker" ]
}
memory() { # a check that eats more than the unit may have is killed, and nothing else
  local node worker
  node=$(node) worker=$(worker)
  cat >>/etc/ballast/ballast.yaml <<'YAML'
  hungry:
    listen: ["127.0.0.1:81/tcp"]
    servers: [{ name: glutton, address: "127.0.0.1:8081",
                checks: [{ type: exec, command: [/usr/bin/python3, -c, "x = b'x' * (500 << 20)"], interval: 1h, timeout: 2m, fall: 1 }] }]
YAML
  systemctl set-property --runtime ballast.service MemoryMax=350M
  systemctl reload ballast && until_true 90 both 'state | grep -qx "glutton down"' true
  local result=$?
  systemctl set-property --runtime ballast.service MemoryMax=infinity
  cp /tmp/good.yaml /etc/ballast/ballast.yaml
  systemctl reload ballast
  cat "/sys/fs/cgroup$(property ControlGroup)/memory.events"
  [ "$result" = 0 ] && is Result success && [ "$(node)" = "$node" ] && [ "$(worker)" = "$worker" ] &&
    grep -q 'oom_kill [1-9]' "/sys/fs/cgroup$(property ControlGroup)/memory.events"
}
upgrade() {
  local worker
  worker=$(worker)
  apt-get install -y /run/share/next.deb && until_true 90 running && until_true 60 both '[ "$(worker)" != '"$worker"' ]' true &&
    ballast status --json | grep -E '"draining": ?1' && dpkg -s ballast | grep -x 'Version: 99'
}

with_load "systemctl reload applies a change" reload_heavier
with_load "systemctl reload refuses a wrong description, and it runs on" reload_wrong
cp /tmp/good.yaml /etc/ballast/ballast.yaml
systemctl reload ballast
since=$(date +%T)
with_load "systemctl restart keeps the worker" restart
sleep 3
check "  and brings no dead server back" no_resurrection "$since"
with_load "a node process that is killed comes back to its worker" kill_node KILL
with_load "a node process that hangs (SIGSTOP) is noticed by the watchdog and comes back to its worker" kill_node STOP
with_load "systemctl restart with a wrong description says so, and traffic flows on until it is mended" restart_wrong
with_load "a check that eats all memory is killed alone" memory
with_load "apt upgrades to another build, whose worker follows the old one" upgrade
check "  which ends with its last connection" until_true 60 both 'ballast status --json | grep -qE "\"draining\": ?0"' true

# Connections of a worker that is killed are lost; those to come wait for the next one.
rm -f /tmp/load.stop
python3 /tmp/farm.py load /tmp/load.out &
sleep 1
check "a worker that is killed is replaced" kill_worker
sleep 1
touch /tmp/load.stop
wait $!
check "  and of the requests meanwhile ($(head -n 1 /tmp/load.out)) none was refused" bash -c '! grep -i refused /tmp/load.out'

# ---- the engine xdp -------------------------------------------------------------------------------------------------

python3 -c 'import ctypes, os, sys
module = os.open("/run/share/veth.ko", os.O_RDONLY)
sys.exit(ctypes.CDLL(None).syscall(313, module, b"", 0) != 0)'
ip link add front type veth peer name cable
ip address add 192.0.2.1/24 dev front
ip link set front up
ip link set cable up
program() { ip -d link show front | grep -oE 'prog/xdp id [0-9]+'; }
fast() {
  cat >>/etc/ballast/ballast.yaml <<'YAML'
  fast:
    listen: ["192.0.2.1:80/tcp"]
    engine: xdp
    servers: ["192.0.2.11:80"]
YAML
  systemctl reload ballast
}
with_load "the unit lets the engine xdp be" fast
check "  on the interface of its address, in native mode" until_true 30 says '"front":"native"' ballast status --json
before=$(program)
with_load "  and it is the same after a restart" restart
check "  (program $before)" both '[ -n "$before" ]' 'until_true 30 says "goes on with the tables that it found" log'
check "  in the kernel as well" until_true 10 bash -c '[ "$(ip -d link show front | grep -oE "prog/xdp id [0-9]+")" = "'"$before"'" ]'
cp /tmp/good.yaml /etc/ballast/ballast.yaml
systemctl reload ballast
check "  and gone with the last service that wanted it" until_true 30 not program
ip link del front

# ---- stop ---------------------------------------------------------------------------------------------------------

refused() { ! (exec 3<>/dev/tcp/127.0.0.1/80) 2>/dev/null; }

begin_slow
systemctl stop ballast &
stop=$!
check "systemctl stop refuses new connections" until_true 20 refused
sleep 40 # longer than TimeoutStopSec: the daemon has asked for the time it needs
check "  and waits for those that there are" both "alive $slow" "alive $stop"
touch /tmp/finish
wait "$slow"
check "  until they have ended ($(cat /tmp/slow.out))" grep -qx whole /tmp/slow.out
check "  and then is through" wait $stop
check "  with success, and nothing is left" both 'is Result success && is ActiveState inactive' 'not java_processes'

systemctl start ballast
until_true 60 running
begin_slow
systemctl stop ballast &
stop=$!
until_true 20 refused
kill -KILL "$(node)"
wait $stop
check "a node process that dies while it stops leaves no worker" until_true 10 not java_processes
touch /tmp/finish
wait "$slow"

# ---- boot, by hand, purge -----------------------------------------------------------------------------------------

check "systemctl enable puts it into the boot" bash -c 'systemctl enable ballast && systemctl list-dependencies multi-user.target --plain | grep ballast'
ballast run /etc/ballast/ballast.yaml >/tmp/by-hand.log 2>&1 &
by_hand=$!
until_true 60 serving
with_load "systemctl start takes over from a daemon that was started by hand" bash -c 'systemctl start ballast && tail --pid='$by_hand' -f /dev/null'
check "  and goes on with its worker" until_true 60 running
systemctl stop ballast
mount -t tmpfs -o noexec,mode=1777 tmpfs /tmp
check "it also serves where /tmp is noexec" both 'systemctl start ballast' 'until_true 30 serving'
systemctl stop ballast
umount /tmp
cp /tmp/good.yaml /etc/ballast/ballast.yaml
systemctl start ballast
echo 'wrong: true' >>/etc/ballast/ballast.yaml
systemctl restart ballast 2>/dev/null
check "  (now a worker is there, and no node process)" both 'is ActiveState failed' java_processes
rm -f /etc/ballast/hook /etc/ballast/plugin # others' files stay where they are
check "apt purges it, also after a start that failed" apt-get purge -y ballast
check "  nothing is left of it" bash -c '! find / -xdev -name "*ballast*" -not -path "/proc/*" -not -path "/run/share/*" -not -path "/var/log/*" \
  -not -path "/var/cache/*" -not -path "/tmp/*" | grep .'
check "  and no process" until_true 10 not java_processes
check "  and no unit" bash -c '! systemctl list-units --all --plain --no-legend | grep "ballast"'
check "systemd has nothing that failed" bash -c '[ -z "$(systemctl --failed --no-legend --plain | grep -vE "proof|tmp.mount" | tee -a /dev/stderr)" ]'

journalctl --no-pager -q -o short-precise >/run/share/journal
journalctl --no-pager -q -o short -t ballast -t systemd -u ballast >/run/share/journal.ballast
[ -z "$failed" ] && echo "all is well"
exit 0
