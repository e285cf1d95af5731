#!/usr/bin/env bash
# Loads images of the local Docker to every node of a cluster, so that pods can use them without a
# registry (imagePullPolicy: IfNotPresent, and a tag other than latest).
#
# Usage: hack/kind/load-image.sh [--help] [--name NAME] IMAGE...
#
# An image that the nodes have already is not sent again.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

NAME=edgecache

# As containerd names it. canonical_name IMAGE
canonical_name() {
  local image=$1 first=${1%%/*}
  [[ $image == */* ]] || image=library/$image
  [[ $1 == */* && ($first == *.* || $first == *:* || $first == localhost) ]] || image=docker.io/$image
  [[ ${image##*/} == *:* ]] || image=$image:latest
  echo "$image"
}

# Docker knows an image by the digest of its configuration, containerd by that of a manifest: so a label
# on the node's image remembers the former.
node_has() {
  local node=$1 image=$2 id=$3
  [[ $(docker exec "$node" ctr -n k8s.io images ls "name==$(canonical_name "$image")" 2>/dev/null) == *"edgecache.dev/id=$id"* ]]
}

load() {
  local image=$1 id node nodes missing=() started
  started=$(date +%s)
  id=$(docker image inspect -f '{{.Id}}' "$image") || die "the local Docker has no image $image"
  mapfile -t nodes < <(kind get nodes --name "$NAME" 2>/dev/null)
  ((${#nodes[@]})) || die "there is no cluster $NAME"
  for node in "${nodes[@]}"; do node_has "$node" "$image" "$id" || missing+=("$node"); done
  ((${#missing[@]})) || return 0
  quietly "$CACHE_DIR/log/kind-load.log" kind load docker-image "$image" --name "$NAME" \
    --nodes "$(IFS=, && echo "${missing[*]}")"
  for node in "${missing[@]}"; do
    docker exec "$node" ctr -n k8s.io images label "$(canonical_name "$image")" "edgecache.dev/id=$id" >/dev/null 2>&1
  done
  log "loaded $image to ${#missing[@]} nodes in $(($(date +%s) - started)) s"
}

main() {
  local images=()
  while (($#)); do
    case $1 in
      --help | -h) usage && return ;;
      --name) NAME=${2:?--name needs a name} && shift ;;
      --name=*) NAME=${1#*=} ;;
      -*) usage >&2 && return 2 ;;
      *) images+=("$1") ;;
    esac
    shift
  done
  ((${#images[@]})) || { usage >&2 && return 2; }
  local image
  for image in "${images[@]}"; do load "$image"; done
}

main "$@"
