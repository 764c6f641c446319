#!/bin/sh
# One process of the cluster without Docker: cluster.sh redis | node N | nginx
#
# The Procfile names them all. Every address is a variable, so that two clusters fit on one machine.
set -eu

host=${CLUSTER_HOST:-127.0.0.1}                           # nginx listens here, where clients come in,
port=${CLUSTER_PORT:-8005}                                # on this port; /api is for other services,
api_port=${CLUSTER_API_PORT:-8006}                        # on loopback;
node_ports=${CLUSTER_NODE_PORTS:-"8011 8012 8013 8014"}   # behind it, on loopback, are the nodes
redis_port=${CLUSTER_REDIS_PORT:-6390}                    # and Redis.
home=${CLUSTER_HOME:-var/cluster}                         # All that is written is written in here.

# Debian keeps nginx where only root's PATH looks.
PATH=$PATH:/usr/local/sbin:/usr/sbin

need() {
    command -v "$1" >/dev/null || { echo "$1 is missing: $2" >&2; exit 1; }
}

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$home"

case ${1:-} in
redis)
    need redis-server "apt-get install redis-server"
    need redis-cli "apt-get install redis-tools"
    # Redis goes last: the nodes still commit what waits. So the signal that ends the cluster must
    # reach this shell alone, and Redis gets a session of its own.
    ending=
    trap 'ending=yes' TERM INT
    own_session='import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])'
    python -c "$own_session" redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$home" \
        --save "" --appendonly no --maxmemory-policy noeviction --loglevel warning &
    redis=$!
    wait "$redis" || code=$?
    [ "$ending" ] || exit "${code:-0}"
    for _ in $(seq 40); do # tenths of a second: honcho has patience for five seconds
        clients=$(redis-cli -p "$redis_port" client list | wc -l)
        [ "$clients" -gt 1 ] || break # one is redis-cli's own
        sleep 0.1
    done
    kill "$redis"
    wait "$redis"
    ;;
node)
    number=$2
    set -- $node_ports
    shift $((number - 1))
    # All nodes end together here, so there is no other to move the clients to in a long spread.
    exec env COLLAB_HOST=127.0.0.1 COLLAB_PORT="$1" COLLAB_NODE_ID="node$number" \
        COLLAB_DRAIN_TIME="${COLLAB_DRAIN_TIME:-1}" \
        REDIS_URL="redis://127.0.0.1:$redis_port/0" python -m collab
    ;;
nginx)
    need nginx "apt-get install nginx-light"
    mkdir -p "$home/nginx/place"
    ln -sf "$here/nginx/nginx.conf" "$home/nginx/nginx.conf"
    # The log is a file here: a line for each poll would bury what the nodes say.
    log="access_log access.log json;"
    # The system allows as many (net.core.somaxconn) to wait; nginx alone would let 511.
    echo "listen $host:$port backlog=4096; $log" >"$home/nginx/place/front.conf"
    echo "listen 127.0.0.1:$api_port; $log" >"$home/nginx/place/api.conf"
    for node_port in $node_ports; do
        echo "server 127.0.0.1:$node_port max_fails=0;"
    done >"$home/nginx/place/nodes.conf"
    # Started by root, nginx would run as a user who may not enter this directory.
    [ "$(id -u)" -ne 0 ] || owner="user root;"
    ulimit -S -n "$(ulimit -H -n)"
    exec nginx -e stderr -p "$home/nginx/" -c nginx.conf -g "daemon off; ${owner:-}" ${2:-}
    ;;
*)
    echo "usage: $0 redis | node N | nginx" >&2
    exit 2
    ;;
esac
