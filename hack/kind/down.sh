#!/usr/bin/env bash
# Removes a cluster that up.sh made. What was built for it stays in the cache.
#
# Usage: hack/kind/down.sh [--help] [NAME] [--all]
#
#   NAME   name of the cluster (edgecache)
#   --all  removes every cluster that up.sh made, and stops the dockerd that it started
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

remove_cluster() {
  local nodes
  # By label, so that a cluster can be removed also when kind has not been built.
  nodes=$(docker ps -aq --filter "label=io.x-k8s.kind.cluster=$1")
  if [[ -n $nodes ]]; then
    log "removing cluster $1"
    # shellcheck disable=SC2086 # one word per container
    docker rm -f -v $nodes >/dev/null
  fi
  rm -rf "$(cluster_dir "$1")"
}

main() {
  local name=edgecache all=
  while (($#)); do
    case $1 in
      --help | -h) usage && return ;;
      --all) all=1 ;;
      -*) usage >&2 && return 2 ;;
      *) name=$1 ;;
    esac
    shift
  done
  if docker version >/dev/null 2>&1; then
    remove_cluster "$name"
    if [[ -n $all ]]; then
      for name in "$CACHE_DIR"/clusters/*/; do [[ ! -d $name ]] || remove_cluster "$(basename "$name")"; done
    fi
  fi
  [[ -z $all ]] || "$KIND_DIR/docker.sh" stop
}

main "$@"
