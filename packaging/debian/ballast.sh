#!/bin/bash
# The program ballast of the package, on the run-time image that the package brings.
set -eu
# shellcheck source=../launch.sh disable=SC1091
. /usr/lib/ballast/launch.sh
launch /usr/lib/ballast/runtime/bin/java /usr/lib/ballast/lib /usr/lib/ballast/ballast.aot /usr/bin/ballast "$@"
