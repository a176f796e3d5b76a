#!/usr/bin/env bash
# Makes the Debian package; called by `./ballast package`, which built the jars first and says where they are:
#   JAVA_HOME   the JDK whose run-time image goes into the package
#   RUN         the folder of the jars
# Writes target/ballast_VERSION_ARCH.deb and its name to standard output.
set -euo pipefail
umask 022

home=$(cd -- "${BASH_SOURCE[0]%/*}/.." && pwd -P)
# shellcheck source=launch.sh disable=SC1091
. "$home/packaging/launch.sh"

say() { printf 'ballast: %s\n' "$*" >&2; }

# What the program needs of Java. Netty and Gson also name modules that they can do without; a module that is in
# neither list means a new dependency, and somebody has to decide.
modules=java.base,java.logging,java.naming,jdk.httpserver,jdk.net,jdk.unsupported
optional=java.compiler,java.sql,jdk.jfr

usage() {
  cat <<'TEXT'
ballast package: Make a Debian package with its own Java run-time image

Usage: ./ballast package [--output DIRECTORY]

Options:
  --output DIRECTORY   where the package goes (default: target)

Example:
  ./ballast package && sudo apt install ./target/ballast_*.deb
TEXT
}

output=${OUTPUT:-$home/target}
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --output)
      [ $# -ge 2 ] || { say "package: --output needs a directory"; exit 2; }
      output=$2
      shift
      ;;
    --output=*) output=${1#*=} ;;
    *) say "package: unknown argument $1; try: ./ballast package --help"; exit 2 ;;
  esac
  shift
done
if ! mkdir -p -- "$output" 2>/dev/null || [ ! -w "$output" ]; then
  say "package: cannot write to $output; choose another with --output"
  exit 3
fi
output=$(cd -- "$output" && pwd -P)

arch=$(dpkg --print-architecture)
version=$(sed -n '/<artifactId>ballast<\/artifactId>/,/<version>/s/.*<version>\(.*\)<\/version>.*/\1/p' "$home/pom.xml" | head -n 1)
version=${version/-SNAPSHOT/\~snapshot}
maintainer=${BALLAST_MAINTAINER:-The Ballast maintainers <maintainers@ballast.invalid>}
deb=$output/ballast_${version}_$arch.deb

stage=$(mktemp -d "$output/package.XXXXXX")
trap 'rm -rf -- "$stage"' EXIT
chmod 755 "$stage"
lib=$stage/usr/lib/ballast

say "making the run-time image"
needed=$("$JAVA_HOME/bin/jdeps" --multi-release 25 --ignore-missing-deps --print-module-deps "$RUN"/*.jar 2>/dev/null | tail -n 1)
for module in ${needed//,/ }; do
  case ,$modules,$optional, in
    *",$module,"*) ;;
    *) say "the jars need the module $module of Java; name it in packaging/build-deb.sh"; exit 1 ;;
  esac
done
mkdir -p "$lib/lib"
"$JAVA_HOME/bin/jlink" --add-modules "$modules" --strip-debug --no-header-files --no-man-pages --output "$lib/runtime"
cp -p "$RUN"/*.jar "$lib/lib/"
# Netty's native part stands beside the JVM's own libraries, where the JVM looks first. From inside its jar it would be
# written to /tmp at each start, which fails where /tmp is mounted noexec.
case $arch in
  amd64) machine=x86_64 ;;
  arm64) machine=aarch_64 ;;
  *) say "Netty has no native part for $arch"; exit 1 ;;
esac
mkdir "$stage/native"
native=$(echo "$lib"/lib/netty-transport-native-epoll-*-linux-$machine.jar)
(cd "$stage/native" && "$JAVA_HOME/bin/jar" --extract --file "$native")
mv "$stage"/native/META-INF/native/*.so "$lib/runtime/lib/"
chmod 644 "$lib"/runtime/lib/libnetty*.so
rm -rf "$stage/native"
rm -f "$lib"/lib/netty-transport-native-epoll-*-linux-*.jar
chmod 644 "$lib"/lib/*.jar
find "$lib/runtime/legal" -type f -exec chmod 644 {} +
# Symbols that only a debugger of the JVM itself wants.
if command -v strip >/dev/null; then
  find "$lib/runtime" -type f \( -name '*.so' -o -path '*/bin/*' -o -name jexec -o -name jspawnhelper \) -exec strip --strip-unneeded {} +
fi
install -m 644 "$home/packaging/launch.sh" "$lib/launch.sh"
install -m 755 "$home/packaging/debian/stop.sh" "$lib/stop"
install -D -m 755 "$home/packaging/debian/ballast.sh" "$stage/usr/bin/ballast"

say "making the AOT cache"
(BALLAST_MAIN=io.ballast.lab.Training BALLAST_JAVA_OPTS="-XX:AOTCacheOutput=$lib/ballast.aot" \
  launch "$lib/runtime/bin/java" "$lib/lib" "" /usr/bin/ballast "$home/examples/farm.yaml") >"$stage/aot.log" 2>&1 </dev/null \
  || { cat "$stage/aot.log" >&2; say "the training run of the AOT cache failed"; exit 1; }
rm -f "$stage/aot.log"
chmod 644 "$lib/ballast.aot"

verb() { (launch "$lib/runtime/bin/java" "$lib/lib" "$lib/ballast.aot" /usr/bin/ballast "$@"); }

say "making the documents"
doc=$stage/usr/share/doc/ballast
mkdir -p "$doc/examples" "$stage/usr/share/man/man1" "$stage/etc/ballast" "$stage/usr/lib/systemd/system" \
  "$stage/usr/share/bash-completion/completions" "$stage/usr/share/zsh/vendor-completions" \
  "$stage/usr/share/fish/vendor_completions.d"
verb manpage | gzip -9n >"$stage/usr/share/man/man1/ballast.1.gz"
verb completion bash >"$stage/usr/share/bash-completion/completions/ballast"
verb completion zsh >"$stage/usr/share/zsh/vendor-completions/_ballast"
verb completion fish >"$stage/usr/share/fish/vendor_completions.d/ballast.fish"
cp "$home"/examples/*.yaml "$doc/examples/"
cp "$home/packaging/debian/copyright" "$doc/copyright"
install -D -m 644 "$home/packaging/debian/lintian-overrides" "$stage/usr/share/lintian/overrides/ballast"
printf 'ballast (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n' \
  "$version" "$maintainer" "$(date -R -r "$home/CHANGELOG.md")" | gzip -9n >"$doc/changelog.Debian.gz"
gzip -9n <"$home/CHANGELOG.md" >"$doc/changelog.gz"
install -m 644 "$home/packaging/debian/ballast.yaml" "$stage/etc/ballast/ballast.yaml"
install -m 644 "$home"/packaging/debian/*.service "$stage/usr/lib/systemd/system/"
verb check "$stage/etc/ballast/ballast.yaml" >/dev/null

# The image's libraries need the C library of at least the version whose symbols they name, and what ldd finds beside.
glibc=$(grep -rhaoE 'GLIBC_2\.[0-9]+' "$lib/runtime/lib" "$lib/runtime/bin" | sort -uV | tail -n 1)
depends="libc6 (>= ${glibc#GLIBC_})"
while read -r file; do
  package=$(dpkg -S "$file" "$(readlink -f "$file")" 2>/dev/null | head -n 1 | cut -d: -f1 || true)
  case $package in
    "" | libc6) ;;
    *) [[ ", $depends," == *", $package,"* ]] || depends="$depends, $package" ;;
  esac
done < <(find "$lib/runtime" -name '*.so' -exec ldd {} + 2>/dev/null | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | grep -v "^$lib" | sort -u)

mkdir "$stage/DEBIAN"
install -m 755 "$home"/packaging/debian/{postinst,prerm,postrm} "$stage/DEBIAN/"
echo /etc/ballast/ballast.yaml >"$stage/DEBIAN/conffiles"
cat >"$stage/DEBIAN/control" <<CONTROL
Package: ballast
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -sk --exclude=DEBIAN "$stage" | cut -f1)
Depends: $depends
Recommends: iproute2, libbpf1
Suggests: nginx-light
Section: net
Priority: optional
Description: high availability and load balancing from one description
 Ballast runs on every node of a service and plays the parts that one file,
 ballast.yaml, gives that node: it checks the health of real servers, balances
 TCP and UDP over them without losing a connection when it is reloaded,
 restarted or upgraded, and shows a sorry server when all of them are down.
 .
 The package brings its own Java run-time image.
CONTROL
(cd "$stage" && find etc usr -type f -not -path etc/ballast/ballast.yaml -print0 | sort -z | xargs -0 md5sum) >"$stage/DEBIAN/md5sums"
chmod 644 "$stage"/DEBIAN/{conffiles,control,md5sums}

say "packing"
dpkg-deb --root-owner-group -Zxz --build "$stage" "$deb" >&2
printf '%s\n' "$deb"
