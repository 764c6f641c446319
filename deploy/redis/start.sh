#!/bin/sh
# Start Redis in Compose, with a password that nobody has to choose: start.sh FOLDER [option of redis-server]...
#
# FOLDER is a volume in memory that the nodes share, so the password ends with the containers. It has `url`, which
# the nodes read, and `users`, which Redis reads. While a node runs, both survive a restart of Redis.
set -eu

folder=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
if [ ! -s "$folder/url" ]; then
    password=$(od -An -N32 -tx1 /dev/urandom | tr -d " \n")
    printf '%s\n' "$password" | sh "$here/users.sh" >"$folder/users"
    # Last, and at once: a node that finds a URL finds a Redis that knows the password.
    printf 'redis://collab:%s@redis:6379/0\n' "$password" >"$folder/url.new"
    mv "$folder/url.new" "$folder/url"
fi
exec redis-server --aclfile "$folder/users" "$@"
