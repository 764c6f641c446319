#!/bin/sh
# Print the users of a Redis for nodes alone, as the content of its ACL file: users.sh < password
#
# `collab` is the nodes' user, with the keys, channels and commands that they use; `probe` may only ping, for
# health checks. Nobody else gets in. The file has the SHA-256 of the password, not the password.
set -eu

password=$(cat)
case $password in
"" | *[!A-Za-z0-9_-]*) # it stands in a URL
    echo "the password must have letters, digits, - and _ only" >&2
    exit 1
    ;;
esac
digest=$(printf %s "$password" | sha256sum | cut -d " " -f 1)
cat <<ACL
user default off
user probe on nopass -@all +ping
user collab on #$digest ~code_* ~journal* ~collab:* resetchannels &room:* &collab:* &socketio -@all +@read +@write +@pubsub +@scripting +@connection +@transaction -@dangerous +time +info +config|get +cluster|slots
ACL
