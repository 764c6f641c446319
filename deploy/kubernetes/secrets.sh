#!/bin/sh
# Print the Secrets of a new cluster with demo/'s Redis, each with random values:
#
#   sh deploy/kubernetes/secrets.sh | kubectl apply -f -
#
# Once: the values are in the cluster only. Pods that were started before a second time still have the first values.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
random() {
    od -An -N32 -tx1 /dev/urandom | tr -d " \n"
}
password=$(random)
cat <<SECRETS
apiVersion: v1
kind: Secret
metadata:
  name: collab
  namespace: collab
stringData:
  redis-url: redis://collab:$password@redis:6379/0
  api-keys: service:read+write+end:$(random)
  auth-secret: $(random)
---
apiVersion: v1
kind: Secret
metadata:
  name: redis-users
  namespace: collab
stringData:
  users: |
$(printf %s "$password" | sh "$here/../redis/users.sh" | sed 's/^/    /')
SECRETS
