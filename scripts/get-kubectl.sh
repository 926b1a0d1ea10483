#!/bin/sh
# Puts a kubectl that renders deploy/kubernetes into FOLDER: that of Debian's next release, as the one of Debian 12 is too old to. Installs
# nothing, and leaves what apt knows as it is. Takes Debian. Usage: sh scripts/get-kubectl.sh FOLDER
set -eu

fail() {
  echo "get-kubectl: $*" >&2
  exit 1
}

[ $# -eq 1 ] || fail 'usage: get-kubectl.sh FOLDER'
command -v apt-get >/dev/null || fail 'it takes a Debian, with apt-get'
mkdir -p "$1"
folder=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# From where this machine has the rest of its packages.
archive=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')
[ -n "$archive" ] || fail "apt's sources name no Debian archive"
mkdir -p "$work/lists/partial" "$work/archives/partial"
echo "deb $archive trixie main" >"$work/sources.list"
next() {
  apt-get -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::Lists=$work/lists" \
    -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives" -o APT::Sandbox::User= "$@"
}
next update
cd "$work"
# The release is named, as a kubectl from elsewhere may have a higher version. `kubernetes-client` does no more than ask for this one.
next download kubectl/trixie >/dev/null
dpkg -x kubectl_*.deb unpacked
mv unpacked/usr/bin/kubectl "$folder/kubectl"
"$folder/kubectl" version --client
