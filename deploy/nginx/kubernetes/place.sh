#!/bin/sh
# Write nginx' configuration in a pod: place.sh FOLDER </etc/resolv.conf
#
# It is that of Compose, with three differences: which proxies are believed (real-ip.conf); two workers, because nginx
# would start one for each core of the machine, and 64 of them take 450 MB; and where the list of nodes comes from.
# nginx does not read /etc/resolv.conf, and does not complete names. So the address of the cluster's name server, and
# the full name of the Service "collab-nodes", are taken from there; every cluster has its own.
set -eu

folder=$1
here=$(cd "$(dirname "$0")" && pwd)
server= domain=
while read -r word first _; do
    case $word in
    nameserver) server=${server:-$first} ;;
    search) domain=$first ;; # NAMESPACE.svc.DOMAIN
    esac
done
case $domain in
*.svc.*) ;;
*) echo "resolv.conf names no domain of a namespace: dnsPolicy must be ClusterFirst" >&2 && exit 1 ;;
esac
mkdir -p "$folder/place"
sed "s/^worker_processes auto;/worker_processes 2;/" "$here/nginx.conf" >"$folder/nginx.conf"
cp "$here/api.conf" "$folder/place"
cat "$here/front.conf" "$here/real-ip.conf" >"$folder/place/front.conf"
sed "s/resolver 127.0.0.11 /resolver $server /; s/server collab:/server collab-nodes.$domain:/" \
    "$here/nodes.conf" >"$folder/place/nodes.conf"
