#!/usr/bin/env bash
# Proves that a cluster works: every node Ready, DNS in pods, pods reaching pods of other nodes, Services,
# and a Service with internalTrafficPolicy: Local answered from the caller's own node.
#
# Usage: hack/kind/smoke.sh [--help] [NAME] [--kubeconfig FILE] [--keep]
#
#   --keep   leaves the namespace edgecache-smoke for a look
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

NAMESPACE=edgecache-smoke
NAME=edgecache
KUBECONFIG_FILE=
KEEP=

parse_arguments() {
  while (($#)); do
    case $1 in
      --help | -h) usage && exit ;;
      --kubeconfig) KUBECONFIG_FILE=${2:?--kubeconfig needs a file} && shift ;;
      --kubeconfig=*) KUBECONFIG_FILE=${1#*=} ;;
      --keep) KEEP=1 ;;
      -*) usage >&2 && exit 2 ;;
      *) NAME=$1 ;;
    esac
    shift
  done
  KUBECONFIG_FILE=${KUBECONFIG_FILE:-$(cluster_dir "$NAME")/kubeconfig}
  [[ -f $KUBECONFIG_FILE ]] || die "no kubeconfig $KUBECONFIG_FILE: run up.sh first"
}

k() { kubectl --kubeconfig "$KUBECONFIG_FILE" "$@"; }
in_pod() { k -n "$NAMESPACE" exec "$1" -- sh -euc "$2"; }

clean_up() {
  local status=$?
  if ((status != 0)); then
    k -n "$NAMESPACE" get pods,endpointslices -o wide >&2 || true
    k -n "$NAMESPACE" get events --sort-by .lastTimestamp >&2 || true
  fi
  [[ -n $KEEP ]] || k delete namespace "$NAMESPACE" --ignore-not-found --wait=false >/dev/null 2>&1 || true
}

start_pods() {
  local image
  image=$("$KIND_DIR/redis-image.sh" "$NAME")
  "$KIND_DIR/load-image.sh" --name "$NAME" "$image"
  # A former run's namespace may still be going away, and refuses new objects until it has.
  k delete namespace "$NAMESPACE" --ignore-not-found --timeout 60s >/dev/null
  sed "s|@REDIS_IMAGE@|$image|" "$KIND_DIR/smoke.yaml" | k apply -f - >/dev/null
  k -n "$NAMESPACE" rollout status daemonset/answer --timeout 120s >/dev/null
}

# check WHAT GOT WANTED
check() {
  [[ $2 == "$3" ]] || die "$1: got '$2', wanted '$3'"
  log "ok: $1"
}

has_both_regions() {
  k get nodes -l '!node-role.kubernetes.io/control-plane' \
    -o jsonpath='{range .items[*]}{.metadata.labels.topology\.kubernetes\.io/region}{"\n"}{end}' | sort -u | xargs
}

# kube-proxy writes a rule some moments after the pod is Ready.
reaches() { in_pod "$1" "timeout 2 redis-cli -h $2.$NAMESPACE.svc.cluster.local ping | grep -qx PONG"; }

# Twenty connections each, so that a Service that balances over all nodes has no chance to look Local.
answers_of() {
  in_pod "$1" "for i in \$(seq 20); do redis-cli -h $2.$NAMESPACE.svc.cluster.local get node; done | sort -u" | xargs
}

check_pod() {
  local pod=$1 node=$2 pods=$3 service
  eventually 30 "kubernetes.default in DNS on $node" \
    in_pod "$pod" 'getent hosts kubernetes.default.svc.cluster.local'
  check "DNS on $node: the short name is the long one's address" \
    "$(in_pod "$pod" 'getent hosts kubernetes.default' | awk '{ print $1 }')" \
    "$(k get service kubernetes -o jsonpath='{.spec.clusterIP}')"
  check "DNS on $node: the headless Service lists all pods" \
    "$(in_pod "$pod" "getent ahostsv4 headless.$NAMESPACE" | awk '{ print $1 }' | sort -u | xargs)" "$(xargs -n1 <<<"$pods" | sort | xargs)"
  check "pods on $node reach the pods of all nodes" \
    "$(in_pod "$pod" "for ip in $pods; do redis-cli -h \$ip get node; done" | sort | xargs)" "$NODES"
  for service in local any; do
    eventually 30 "Service $service from $node" reaches "$pod" "$service"
  done
  check "Local Service on $node answers from $node" "$(answers_of "$pod" local)" "$node"
  check "plain Service on $node answers from everywhere" "$(answers_of "$pod" any)" "$NODES"
}

main() {
  parse_arguments "$@"
  local pods pod node
  k wait nodes --all --for condition=Ready --timeout 120s >/dev/null
  NODES=$(k get nodes -o jsonpath='{.items[*].metadata.name}' | xargs -n1 | sort | xargs)
  check 'nodes Ready' "$(wc -w <<<"$NODES")" 3
  check 'regions of the workers' "$(has_both_regions)" 'eu-west us-east'
  trap clean_up EXIT
  start_pods
  pods=$(k -n "$NAMESPACE" get pods -o jsonpath='{.items[*].status.podIP}')
  while read -r pod node; do
    check_pod "$pod" "$node" "$pods" </dev/null
  done < <(k -n "$NAMESPACE" get pods -o jsonpath='{range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}')
  log "cluster $NAME works"
}

main "$@"
