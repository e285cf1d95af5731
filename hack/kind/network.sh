#!/usr/bin/env bash
# Lays the pod network of a cluster whose node image was built here, and gives it a DNS that needs no
# upstream. Does nothing that is done already.
#
# Usage: hack/kind/network.sh [--help] NAME KUBECONFIG
#
# Each node gets a CNI configuration (ptp, host-local on its podCIDR, portmap), a route to the podCIDR
# of each other node by way of that node's address, and masquerading of what leaves the cluster.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# kind's default, of which each node has a /24.
POD_SUBNET=10.244.0.0/16

kubectl_here() { kubectl --kubeconfig "$KUBECONFIG_FILE" "$@"; }

# Prints a line per node, "NAME POD_CIDR ADDRESS", when every node has all three. Asks for the nodes by
# name: simulated ones have no container.
list_nodes() {
  local template='{range .items[*]}{.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}'
  local lines
  lines=$(kubectl_here get nodes "${NODES[@]}" -o jsonpath="$template")
  [[ $(awk 'NF == 3' <<<"$lines" | wc -l) -eq ${#NODES[@]} ]] || return 1
  echo "$lines"
}

# ptp, not bridge: on a bridge, answers between pods of one node bypass conntrack unless br_netfilter is
# loaded, and Services with a pod on the caller's own node would hang.
conflist() {
  cat <<JSON
{
  "cniVersion": "0.4.0",
  "name": "edgecache",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni-ipam-state",
        "ranges": [[{ "subnet": "$1" }]],
        "routes": [{ "dst": "0.0.0.0/0" }]
      }
    },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
JSON
}

# connect_node NAME POD_CIDR, with the lines of all nodes on stdin
connect_node() {
  local name=$1 cidr=$2 other other_cidr other_address script
  script="iptables -t nat -C POSTROUTING -s $cidr ! -d $POD_SUBNET -j MASQUERADE 2>/dev/null || "
  script+="iptables -t nat -A POSTROUTING -s $cidr ! -d $POD_SUBNET -j MASQUERADE"$'\n'
  while read -r other other_cidr other_address; do
    [[ $other == "$name" ]] || script+="ip route replace $other_cidr via $other_address"$'\n'
  done
  # The conflist last: with it the node reports itself Ready.
  script+="cat >/etc/cni/net.d/10-edgecache.conflist.part <<'JSON'
$(conflist "$cidr")
JSON
mv /etc/cni/net.d/10-edgecache.conflist.part /etc/cni/net.d/10-edgecache.conflist"
  docker exec -i "$name" sh -eu <<<"$script"
}

# Docker's resolver at 127.0.0.11 is, within a pod, CoreDNS itself: forwarding there is a loop. There is
# nothing else to ask, so that names outside of the cluster are refused.
make_dns_local() {
  local corefile
  corefile=$(kubectl_here -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}')
  grep -qE '^ *(forward|loop)\b' <<<"$corefile" || return 0
  corefile=$(sed -E '/^ *forward .*\{$/,/^ *\}$/d; /^ *forward /d; /^ *loop$/d' <<<"$corefile")
  kubectl_here -n kube-system patch configmap coredns --type merge \
    -p "$(jq -n --arg corefile "$corefile" '{data: {Corefile: $corefile}}')" >/dev/null
}

main() {
  case ${1:-} in --help | -h) usage && return ;; esac
  (($# == 2)) || { usage >&2 && return 2; }
  KUBECONFIG_FILE=$2
  mapfile -t NODES < <(kind get nodes --name "$1" 2>/dev/null)
  local nodes name cidr _
  make_dns_local
  eventually 60 'a podCIDR for every node' list_nodes
  nodes=$(list_nodes)
  while read -r name cidr _; do
    connect_node "$name" "$cidr" <<<"$nodes"
  done <<<"$nodes"
}

main "$@"
