#!/usr/bin/env bash
# Compiles every *.bpf.c of a folder into an object for the kernel:
#   compile-bpf.sh SOURCES OBJECTS [PART]
# An object is made anew when a source or header of the folder, or this script, is newer. Where clang or the headers of
# libbpf are absent, this says so in one line, leaves no object and succeeds: the program is then built without that
# part, which is its engine `xdp` unless another is named.
set -euo pipefail

[ $# = 2 ] || [ $# = 3 ] || { echo "usage: ${0##*/} SOURCES OBJECTS [PART]" >&2; exit 2; }
script=$(cd -- "${BASH_SOURCE[0]%/*}" && pwd -P)/${BASH_SOURCE[0]##*/}
mkdir -p -- "$2"
out=$(cd -- "$2" && pwd -P)
shopt -s nullglob
sources=()
[ ! -d "$1" ] || { cd -- "$1" && sources=(*.bpf.c); }

# An object whose source is gone must not be shipped.
for object in "$out"/*.bpf.o; do
  source=${object##*/}
  [ -e "${source%.o}.c" ] || rm -f -- "$object"
done
[ ${#sources[@]} -gt 0 ] || exit 0

# Debian keeps asm/ beside the other machines' of it, where a compiler for the bpf machine does not look.
include=(-idirafter "/usr/include/$(uname -m)-linux-gnu")

missing=
if ! command -v clang >/dev/null; then
  missing="clang is not installed"
elif ! echo '#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>' | clang -target bpf "${include[@]}" -E -o /dev/null - 2>/dev/null; then
  missing="the headers of libbpf are not installed"
fi
if [ -n "$missing" ]; then
  rm -f -- "$out"/*.bpf.o
  echo "ballast: $missing: ${sources[*]} not compiled, so this build has no ${3-engine xdp} (apt-get install clang libbpf-dev)"
  exit 0
fi

for source in "${sources[@]}"; do
  object=$out/${source%.c}.o
  [ ! -e "$object" ] || [ "$script" -nt "$object" ] || [ -n "$(find . -name '*.[ch]' -newer "$object" -print -quit)" ] || continue
  # The folder's own path stays out of the object, so that two checkouts make the same bytes.
  clang -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror "${include[@]}" -fdebug-compilation-dir=. \
    -c "$source" -o "$object.new"
  mv -f -- "$object.new" "$object"
done
