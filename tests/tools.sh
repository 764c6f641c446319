#!/bin/sh
# tools.sh PACKAGE...: install what is missing of these, where that may be done; else say what is missing.
set -eu

programs() { # programs PACKAGE: one of these must be there
    case $1 in
    nginx-light) echo nginx ;;
    chromium) echo chromium chromium-browser google-chrome ;;
    nodejs) echo node ;;
    *) echo "$1" ;;
    esac
}
missing=""
for package in "$@"; do
    found=""
    for program in $(programs "$package"); do
        if command -v "$program" >/dev/null 2>&1; then found=$program; fi
    done
    [ -n "$found" ] || missing="$missing $package"
done
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
