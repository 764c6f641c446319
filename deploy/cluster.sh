#!/bin/sh
# Start a cluster without Docker, or one process of it: cluster.sh all | redis | node N | nginx
#
# The Procfile lists the processes; `cluster.sh all` starts them, as `honcho start` does. Every address is
# a variable, so that one machine can run two clusters.
set -eu

host=${CLUSTER_HOST:-127.0.0.1}                           # nginx's address for clients
port=${CLUSTER_PORT:-8005}                                # nginx's port for clients
api_port=${CLUSTER_API_PORT:-8006}                        # nginx's port for /api, on loopback
node_ports=${CLUSTER_NODE_PORTS:-"8011 8012 8013 8014"}   # the nodes' ports, on loopback
redis_port=${CLUSTER_REDIS_PORT:-6390}                    # Redis' port, on loopback
password_file=${CLUSTER_REDIS_PASSWORD_FILE:-}            # a file with the password of the nodes' Redis user
requests=${CLUSTER_REQUESTS_PER_ADDRESS:-8192}            # requests and WebSockets of one address at once
bodies=${CLUSTER_BODIES_PER_ADDRESS:-1024}                # bodies of one address that may be on their way
sessions=${CLUSTER_SESSIONS_PER_ADDRESS:-8000}            # sessions that one address may begin at once
home=${CLUSTER_HOME:-var/cluster}                         # the directory of all files that are written

# Debian's nginx is in a directory that only root has in PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin

need() {
    command -v "$1" >/dev/null || { echo "$1 is missing: $2" >&2; exit 1; }
}

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$home"

case ${1:-} in
redis)
    redis_server=$(python -c "from collab.embedded import newest_redis; print(newest_redis().path)")
    need redis-cli "apt-get install redis-tools"
    # Redis must stop last, because the nodes still commit pending edits. So the signal that stops the
    # cluster must reach only this shell, and Redis gets its own session.
    set --
    if [ "$password_file" ]; then
        sh "$here/redis/users.sh" <"$password_file" >"$home/users"
        set -- --aclfile users
    fi
    ending=
    trap 'ending=yes' TERM INT
    own_session='import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])'
    python -c "$own_session" "$redis_server" --port "$redis_port" --bind 127.0.0.1 --dir "$home" \
        --save "" --appendonly no --maxmemory-policy noeviction --loglevel warning "$@" &
    redis=$!
    wait "$redis" || code=$?
    [ "$ending" ] || exit "${code:-0}"
    login=
    if [ "$password_file" ]; then
        login="--user collab --no-auth-warning"
        REDISCLI_AUTH=$(cat "$password_file")
        export REDISCLI_AUTH
    fi
    for _ in $(seq 40); do # tenths of a second; honcho kills after five seconds
        clients=$(redis-cli -p "$redis_port" $login info clients | sed -n "s/^connected_clients:\([0-9]*\).*/\1/p")
        [ "${clients:-0}" -gt 1 ] || break # one client is redis-cli itself
        sleep 0.1
    done
    kill "$redis"
    wait "$redis"
    ;;
node)
    number=$2
    set -- $node_ports
    shift $((number - 1))
    # In the environment of this shell, because everybody can read the arguments of `env`.
    login=
    [ -z "$password_file" ] || login="collab:$(cat "$password_file")@"
    export REDIS_URL="redis://${login}127.0.0.1:$redis_port/0"
    # All nodes stop together, so a long drain would find no other node to move clients to.
    exec env COLLAB_HOST=127.0.0.1 COLLAB_PORT="$1" COLLAB_NODE_ID="node$number" \
        COLLAB_TRUSTED_PROXIES="${COLLAB_TRUSTED_PROXIES:-127.0.0.1}" \
        COLLAB_DRAIN_TIME="${COLLAB_DRAIN_TIME:-1}" python -m collab
    ;;
nginx)
    need nginx "apt-get install nginx-light"
    mkdir -p "$home/nginx/place"
    ln -sf "$here/nginx/nginx.conf" "$home/nginx/nginx.conf"
    # The access log is a file here: its line for each poll would hide the nodes' own lines.
    log="access_log access.log json;"
    # As many as Linux allows by default (net.core.somaxconn); nginx's own default is 511.
    {
        echo "listen $host:$port backlog=4096; $log"
        echo "limit_conn requests $requests; limit_conn bodies $bodies;"
        echo "limit_req zone=sessions_begun burst=$sessions nodelay;"
    } >"$home/nginx/place/front.conf"
    echo "listen 127.0.0.1:$api_port; $log" >"$home/nginx/place/api.conf"
    for node_port in $node_ports; do
        echo "server 127.0.0.1:$node_port max_fails=0;"
    done >"$home/nginx/place/nodes.conf"
    # If root starts nginx, its workers would run as a user without access to this directory.
    [ "$(id -u)" -ne 0 ] || owner="user root;"
    ulimit -S -n "$(ulimit -H -n)"
    exec nginx -e stderr -p "$home/nginx/" -c nginx.conf -g "daemon off; ${owner:-}" ${2:-}
    ;;
all)
    # Ctrl-C is how people end a cluster, so it is no error here; honcho ends with 130.
    exec python -c 'import sys
from honcho.command import main
try:
    main(["start"])
except SystemExit as end:
    sys.exit(0 if end.code == 130 else end.code)'
    ;;
*)
    echo "usage: $0 all | redis | node N | nginx" >&2
    exit 2
    ;;
esac
