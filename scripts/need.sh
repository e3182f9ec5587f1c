#!/bin/sh
# need.sh NAME... makes sure that programs are here: go node postgresql chromium fonts gcc softhsm apache;
# redis is for the comparison of `xinglin bench booking` only.
# As root it installs the missing Debian packages; otherwise it fails with the command to type.
set -eu

# have NAME: is it here?
have() {
	case $1 in
	go) command -v go >/dev/null ;;
	node) command -v npm >/dev/null && [ "$(node -p 'process.versions.node.split(".")[0] >= 20')" = true ] ;;
	postgresql) ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ;;
	chromium) command -v chromium >/dev/null ;;
	fonts) ls /usr/share/fonts/*/noto/NotoSansCJK* >/dev/null 2>&1 ;;
	apache) [ -x /usr/sbin/apache2 ] && [ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] ;;
	redis) command -v redis-server >/dev/null ;;
	softhsm) command -v softhsm2-util >/dev/null ;;
	gcc) command -v gcc >/dev/null && [ -e /usr/include/stdlib.h ] ;;
	*) echo "need.sh: unknown name $1" >&2; exit 2 ;;
	esac
}

# package NAME: the Debian packages that bring it; nothing for what Debian has too old.
package() {
	case $1 in
	postgresql | chromium) echo "$1" ;;
	fonts) echo fonts-noto-cjk ;;
	gcc) echo gcc libc6-dev ;;
	apache) echo apache2-bin libapache2-mod-auth-openidc ;;
	redis) echo redis-server ;;
	softhsm) echo softhsm2 ;;
	esac
}

missing=
for name in "$@"; do
	have "$name" && continue
	case $name in
	go) echo "Go 1.26 or newer is missing: install it and put it on the PATH" >&2; exit 1 ;;
	node) echo "Node.js 20 or newer with npm is missing: install it and put it on the PATH" >&2; exit 1 ;;
	esac
	missing="$missing $(package "$name")"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "These Debian packages are missing:$missing" >&2
	echo "Type: sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
	exit 1
fi
apt-get update -qq
# The list is meant to be split into words.
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
for name in "$@"; do
	have "$name" || { echo "$name is still missing after apt-get install" >&2; exit 1; }
done
