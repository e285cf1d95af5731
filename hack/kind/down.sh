#!/usr/bin/env bash
# Removes a cluster that up.sh made, with kind's network and the dockerd that up.sh started, if nothing else
# uses them. What was built stays in the cache.
#
# Usage: hack/kind/down.sh [--help] [NAME] [--all] [--keep-docker]
#
#   NAME           name of the cluster (edgecache)
#   --all          removes every cluster that up.sh made
#   --keep-docker  leaves network and dockerd: for who goes on to make another cluster
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

KEEP_DOCKER=

remove_cluster() {
  local nodes
  # By label, so that a cluster can be removed also when kind has not been built.
  nodes=$(docker ps -aq --filter "label=io.x-k8s.kind.cluster=$1")
  if [[ -n $nodes ]]; then
    log "removing cluster $1"
    # shellcheck disable=SC2086 # one word per container
    docker rm -f -v $nodes >/dev/null
  elif [[ -z $KEEP_DOCKER ]]; then
    log "there is no cluster $1"
  fi
  rm -rf "$(cluster_dir "$1")"
}

leave_docker() {
  # Refused while another cluster is on it.
  docker network rm kind >/dev/null 2>&1 || true
  "$KIND_DIR/docker.sh" stop-idle
}

main() {
  local name=edgecache all=
  while (($#)); do
    case $1 in
      --help | -h) usage && return ;;
      --all) all=1 ;;
      --keep-docker) KEEP_DOCKER=1 ;;
      -*) usage >&2 && return 2 ;;
      *) name=$1 ;;
    esac
    shift
  done
  if ! docker version >/dev/null 2>&1; then
    log "no Docker daemon answers: there is no cluster"
  else
    remove_cluster "$name"
    if [[ -n $all ]]; then
      for name in "$CACHE_DIR"/clusters/*/; do [[ ! -d $name ]] || remove_cluster "$(basename "$name")"; done
    fi
  fi
  [[ -n $KEEP_DOCKER ]] || leave_docker
}

main "$@"
