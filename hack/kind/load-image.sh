#!/usr/bin/env bash
# Loads images of the local Docker to every node of a cluster, so that pods can use them without a
# registry (imagePullPolicy: IfNotPresent, and a tag other than latest).
#
# Usage: hack/kind/load-image.sh [--help] [--name NAME] [--workers] IMAGE...
#
#   --workers   only to the nodes that take any pod: not to control planes
#
# An image that the nodes have already is not sent again.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

NAME=edgecache
WORKERS=

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

# Prints the nodes that lack any of the images. nodes_without NODES... -- IMAGES...
nodes_without() {
  local nodes=() node image
  while [[ $1 != -- ]]; do nodes+=("$1") && shift; done
  shift
  for node in "${nodes[@]}"; do
    for image in "$@"; do
      node_has "$node" "$image" "$(docker image inspect -f '{{.Id}}' "$image")" || { echo "$node" && break; }
    done
  done
}

# All images at once, so that layers they share are sent once.
load() {
  local image node nodes missing started
  started=$(date +%s)
  for image in "$@"; do
    docker image inspect "$image" >/dev/null 2>&1 || die "the local Docker has no image $image"
  done
  mapfile -t nodes < <(kind get nodes --name "$NAME" 2>/dev/null | grep -v ${WORKERS:+-e '-control-plane[0-9]*$'} -e '^$')
  ((${#nodes[@]})) || die "there is no cluster $NAME"
  mapfile -t missing < <(nodes_without "${nodes[@]}" -- "$@")
  ((${#missing[@]})) || return 0
  log "loading $* to ${#missing[@]} nodes"
  quietly "$CACHE_DIR/log/kind-load.log" kind load docker-image "$@" --name "$NAME" \
    --nodes "$(IFS=, && echo "${missing[*]}")"
  for node in "${missing[@]}"; do
    for image in "$@"; do
      docker exec "$node" ctr -n k8s.io images label "$(canonical_name "$image")" \
        "edgecache.dev/id=$(docker image inspect -f '{{.Id}}' "$image")" >/dev/null 2>&1
    done
  done
  log "loaded in $(($(date +%s) - started)) s"
}

main() {
  local images=()
  while (($#)); do
    case $1 in
      --help | -h) usage && return ;;
      --name) NAME=${2:?--name needs a name} && shift ;;
      --name=*) NAME=${1#*=} ;;
      --workers) WORKERS=1 ;;
      -*) usage >&2 && return 2 ;;
      *) images+=("$1") ;;
    esac
    shift
  done
  ((${#images[@]})) || { usage >&2 && return 2; }
  load "${images[@]}"
}

main "$@"
