# shellcheck shell=bash
# How the JVMs of ballast are started; sourced by ./ballast in a checkout and by /usr/bin/ballast of the package.
#
# Every JVM has the same collector and object headers, so that one AOT cache fits them all. A verb is a short program
# and does with the first compiler. So does the node process, which carries no traffic: with both, more than half of its
# time at a start went into compiling (4.3 s of CPU with 10,000 services against 2.5 s), for checks that then cost a fifth
# less. The worker carries traffic and has both. BALLAST_JAVA_OPTS adds options to every JVM, BALLAST_WORKER_JAVA_OPTS to the worker.

# More options for the JVM of the next launch.
launch_flags=()

# launch JAVA LIBDIR AOTCACHE LAUNCHER [WORDS...]: replaces this shell by the program; AOTCACHE may be empty.
launch() {
  local java=$1 lib=$2 aot=$3 launcher=$4
  shift 4
  local LC_ALL=C # the cache wants the jars in the order that it was made with
  local jars=("$lib"/*.jar)
  local classpath
  classpath=$(IFS=:; printf '%s' "${jars[*]}")
  local base=(
    -XX:+UseSerialGC -XX:+UseCompactObjectHeaders -XX:-UsePerfData -Xss512k -Xlog:aot=off -Xlog:cds=off
    --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow
  )
  local worker_base=${base[*]}
  if [ -n "$aot" ]; then
    base+=("-XX:AOTCache=$aot")
    # The worker's options are split at blanks.
    [[ $aot == *[[:space:]]* ]] || worker_base+=" -XX:AOTCache=$aot"
  fi
  local tty=
  [ ! -t 1 ] || tty=out
  [ ! -t 2 ] || tty=$tty,err
  local flags=("-Dballast.launcher=$launcher" "-Dballast.tty=$tty" "${launch_flags[@]}")
  case ${1-} in
    run)
      # The maximum is what 10,000 services of 10 servers need, changes and checks included; HeapKeeper sees to it that
      # fewer take less.
      flags+=(-XX:TieredStopAtLevel=1 -Xms16m -Xmx512m -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40)
      flags+=(-XX:MaxDirectMemorySize=32m -XX:ReservedCodeCacheSize=48m -XX:+ExitOnOutOfMemoryError)
      flags+=("-XX:OnOutOfMemoryError=echo ballast run is out of memory and ends, traffic goes on: give it more, for instance BALLAST_JAVA_OPTS=-Xmx1g >&2")
      flags+=("-Dballast.worker.jvm.args=$(worker_flags "$worker_base")")
      ;;
    witness)
      flags+=(-XX:TieredStopAtLevel=1 -Xms8m -Xmx64m -XX:ReservedCodeCacheSize=16m -XX:+ExitOnOutOfMemoryError)
      ;;
    lab | drill | demo | bench)
      flags+=(-Xmx512m)
      # What it measures is done by the node process.
      [ "${1-} ${2-}" != "bench health" ] || flags+=(-XX:TieredStopAtLevel=1)
      ;;
    *)
      # The training run of the AOT cache has both compilers: it also records for those of daemon and worker.
      [ -n "${BALLAST_MAIN-}" ] || flags+=(-XX:TieredStopAtLevel=1)
      flags+=(-Xmx256m)
      ;;
  esac
  local extra=()
  read -ra extra <<<"${BALLAST_JAVA_OPTS-}" || true
  exec "$java" "${base[@]}" "${flags[@]}" "${extra[@]}" -cp "$classpath" "${BALLAST_MAIN:-io.ballast.cli.Main}" "$@"
}

# The worker's JVM options in one line; the node process splits it at blanks and adds the class path itself.
worker_flags() {
  printf '%s' "$1 -Xms32m -Xmx256m -XX:+ExitOnOutOfMemoryError ${BALLAST_WORKER_JAVA_OPTS-}"
}
