#!/bin/sh
# Install the programs that the tests talk to, where that may be done; else say which are missing.
set -eu

missing=""
want() { # want PACKAGE PROGRAM...: one of the programs must be there
    package=$1; shift
    for program in "$@"; do command -v "$program" >/dev/null 2>&1 && return; done
    missing="$missing $package"
}
want redis-server redis-server
want nginx-light nginx
want chromium chromium chromium-browser google-chrome
want nodejs node
want npm npm
[ -z "$missing" ] && exit 0

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing$missing"
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
    # Debian starts what it installs; the tests start their own.
    exit 0
fi
echo "The tests need programs that are not on this machine:" >&2
for package in $missing; do echo "    apt-get install $package" >&2; done
exit 1
