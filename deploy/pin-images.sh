#!/bin/sh
# Print a Compose file that pins every image to the digest that its tag has now in the registry.
#
#   sh deploy/pin-images.sh >docker-compose.pinned.yml
#   export COMPOSE_FILE=docker-compose.scale.yml:docker-compose.pinned.yml
#
# For Kubernetes, print the images of a kustomization.yaml instead, to be kept in one of your own:
#
#   sh deploy/pin-images.sh kustomize
#
# Keep what is printed, and print it anew to update: a tag may be another image tomorrow, a digest never is. The
# images are those that the Dockerfile and docker-compose.scale.yml name. Needs Docker with buildx, and Compose v2.
set -eu

here=$(cd "$(dirname "$0")" && pwd)

digest() {
    docker buildx imagetools inspect --format "{{.Manifest.Digest}}" "$1"
}

image() { # of a service that is not built
    sed -n "/^  $1:/,/^  [a-z]/s/^    image: //p" "$here/../docker-compose.scale.yml"
}

redis=$(image redis)
nginx=$(image nginx)
redis_digest=$(digest "$redis")
nginx_digest=$(digest "$nginx")
if [ "${1:-}" = kustomize ]; then
    cat <<PINNED
images:
  - {name: ${redis%%:*}, digest: "$redis_digest"} # $redis
  - {name: ${nginx%%:*}, digest: "$nginx_digest"} # $nginx
PINNED
    exit
fi
base=$(sed -n "s/^FROM \([^ ]*\)\( AS .*\)*$/\1/p" "$here/Dockerfile" | sort -u)
base_digest=$(digest "$base")
cat <<PINNED
services:
  redis:
    image: $redis@$redis_digest
  nginx:
    image: $nginx@$nginx_digest
  collab:
    build:
      additional_contexts:
        "$base": docker-image://$base@$base_digest
PINNED
