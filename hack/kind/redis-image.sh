#!/usr/bin/env bash
# Prints the Redis image that a cluster can run, and puts it into the local Docker: a public one, or one made of
# Debian packages where the nodes are.
#
# Usage: hack/kind/redis-image.sh [--help] [NAME]    (NAME of the cluster: edgecache)
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

[[ ${1:-} != --help && ${1:-} != -h ]] || { usage && exit; }
if is_built_image "$(docker inspect -f '{{.Config.Image}}' "${1:-edgecache}-control-plane")"; then
  "$KIND_DIR/debian-images.sh" redis
else
  docker image inspect "$PUBLIC_REDIS_IMAGE" >/dev/null 2>&1 || {
    log "pulling $PUBLIC_REDIS_IMAGE"
    docker pull -q "$PUBLIC_REDIS_IMAGE" >/dev/null
  }
  echo "$PUBLIC_REDIS_IMAGE"
fi
