#!/usr/bin/env bash
# Brings up a kind cluster of three nodes in two regions, and everything that it takes: Docker, Go, kind,
# kubectl, helm and, where no image registry answers, the node image itself.
#
# Usage: hack/kind/up.sh [--help] [NAME] [--kubeconfig FILE] [--offline] [--audit] [--recreate]
#
#   NAME               name of the cluster (edgecache)
#   --kubeconfig FILE  where to write the kubeconfig (CACHE/clusters/NAME/kubeconfig); ~/.kube/config is
#                      never touched
#   --offline          builds the node image even if a registry answers
#   --audit            the API server keeps an audit log (metadata of every request)
#   --recreate         removes the cluster first
#
# Prints the path of the kubeconfig. A cluster that is up and of the wanted versions is left as it is;
# one that is broken or of other versions is made anew. See README.md for times and for the cache.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
source "$KIND_DIR/node-choice.sh"

NAME=edgecache
KUBECONFIG_FILE=
AUDIT=
RECREATE=
CREATING=

parse_arguments() {
  local positional=()
  while (($#)); do
    case $1 in
      --help | -h) usage && exit ;;
      --kubeconfig) KUBECONFIG_FILE=${2:?--kubeconfig needs a file} && shift ;;
      --kubeconfig=*) KUBECONFIG_FILE=${1#*=} ;;
      --offline) export EDGECACHE_OFFLINE=1 ;;
      --audit) AUDIT=1 ;;
      --recreate) RECREATE=1 ;;
      -*) usage >&2 && exit 2 ;;
      *) positional+=("$1") ;;
    esac
    shift
  done
  ((${#positional[@]} <= 1)) || { usage >&2 && exit 2; }
  NAME=${positional[0]:-$NAME}
  STATE_DIR=$(cluster_dir "$NAME")
  KUBECONFIG_FILE=${KUBECONFIG_FILE:-$STATE_DIR/kubeconfig}
}

# A cluster that was being made when Ctrl-C came is of no use to the next run.
clean_up() {
  [[ -n $CREATING ]] || return 0
  log "removing the unfinished cluster $NAME"
  "$KIND_DIR/down.sh" "$NAME" || true
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

k() { kubectl --kubeconfig "$KUBECONFIG_FILE" "$@"; }

cluster_exists() { kind get clusters 2>/dev/null | grep -qx "$NAME"; }

api_answers() { k --request-timeout 5s get --raw /readyz; }

# Whether the cluster is there, was finished, is of the wanted configuration, and answers.
cluster_is_good() {
  local node
  cluster_exists || return 1
  [[ $(cat "$STATE_DIR/config.yaml" 2>/dev/null) == "$CONFIG" ]] || {
    log "cluster $NAME is of another configuration, or was not finished"
    return 1
  }
  for node in $(kind get nodes --name "$NAME" 2>/dev/null); do
    [[ $(docker inspect -f '{{.State.Running}}' "$node") == true ]] || {
      log "node $node is stopped"
      return 1
    }
  done
  kind export kubeconfig --name "$NAME" --kubeconfig "$KUBECONFIG_FILE" >/dev/null 2>&1
  api_answers >/dev/null 2>&1 || {
    log "the API server of $NAME does not answer"
    return 1
  }
}

# Three nodes of systemd and kubelets use up Linux's default of 128.
raise_inotify_limits() {
  is_root || return 0
  local name wanted
  for name in max_user_instances:1024 max_user_watches:524288; do
    wanted=${name#*:} name=/proc/sys/fs/inotify/${name%:*}
    (($(cat "$name") >= wanted)) || echo "$wanted" >"$name" 2>/dev/null || true
  done
}

create_cluster() {
  local started
  started=$(date +%s)
  log "creating cluster $NAME of $IMAGE"
  mkdir -p "$STATE_DIR" "$(dirname "$KUBECONFIG_FILE")"
  [[ -z $AUDIT ]] || cp "$KIND_DIR/audit-policy.yaml" "$STATE_DIR/"
  raise_inotify_limits
  CREATING=1
  quietly "$CACHE_DIR/log/kind-create-$NAME.log" kind create cluster --name "$NAME" \
    --config <(echo "$CONFIG") --kubeconfig "$KUBECONFIG_FILE"
  CREATING=
  log "created cluster $NAME in $(($(date +%s) - started)) s"
}

await_ready() {
  log "waiting for the nodes and for DNS"
  nodes_are_ready || {
    # Left as it is for a look; the next run makes it anew.
    k get nodes,pods -A -o wide >&2 || true
    die "cluster $NAME did not become ready"
  }
}

# Of kind's own nodes: a cluster may hold simulated ones that nobody keeps Ready.
nodes_are_ready() {
  local nodes node
  mapfile -t nodes < <(kind get nodes --name "$NAME" 2>/dev/null)
  k wait node "${nodes[@]}" --for condition=Ready --timeout 180s >/dev/null || return
  for node in "${nodes[@]}"; do
    # `kubectl wait` gives up at once on a pod that has not been made yet.
    eventually 180 "kube-proxy of $node" k -n kube-system wait pod -l k8s-app=kube-proxy \
      --field-selector "spec.nodeName=$node" --for condition=Ready --timeout 1s
  done
  k -n kube-system rollout status deployment/coredns --timeout 180s >/dev/null
}

main() {
  parse_arguments "$@"
  take_lock
  "$KIND_DIR/docker.sh" start
  "$KIND_DIR/build-binaries.sh" tools
  IMAGE=$(choose_node_image)
  CONFIG=$("$KIND_DIR/cluster-config.sh" "$NAME" "$IMAGE" ${AUDIT:+"$STATE_DIR/audit-policy.yaml"})
  if [[ -z $RECREATE ]] && cluster_is_good; then
    log "cluster $NAME is up"
  else
    "$KIND_DIR/down.sh" "$NAME" --keep-docker
    create_cluster
  fi
  # Also for a cluster that was up: what this does is lost when a node is restarted.
  ! is_built_image "$IMAGE" || "$KIND_DIR/network.sh" "$NAME" "$KUBECONFIG_FILE"
  await_ready
  # Written last: it says that the cluster was finished.
  echo "$CONFIG" >"$STATE_DIR/config.yaml"
  log "cluster $NAME is ready: $KUBECONFIG_FILE"
  echo "$KUBECONFIG_FILE"
}

main "$@"
