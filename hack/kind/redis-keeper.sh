#!/usr/bin/env bash
# Keeps the pods of a headless Service one Redis Cluster of three masters with replicas: forms it, and takes in
# pods that were replaced, which come with a new address and without memory of the cluster. Runs in the cluster.
#
# Environment: SERVICE (name of the Service), MEMBERS (how many pods it has when complete)
set -uo pipefail

port=6379
ask() { timeout 3 redis-cli -h "$1" -p "$port" "${@:2}" 2>/dev/null | tr -d '\r'; }
members() { getent ahostsv4 "$SERVICE" | awk '{ print $1 }' | sort -u; }
known_nodes() { ask "$1" cluster info | sed -n 's/^cluster_known_nodes://p'; }

# Address of a pod that knows who has each slot, and hence is in a cluster. A pod that has just been met does not: of a
# master that has failed it hears, but not of its slots, and so would have it forgotten before a replica takes over.
a_member() {
  local ip
  for ip in "$@"; do
    ask "$ip" cluster info | grep -qx cluster_slots_assigned:16384 && echo "$ip" && return
  done
  return 1
}

form() {
  local ip
  (($# == MEMBERS)) || return 0
  for ip in "$@"; do [[ $(known_nodes "$ip") == 1 ]] || return 0; done
  echo "forming a cluster of $*"
  redis-cli --cluster create "${@/%/:$port}" --cluster-replicas 1 --cluster-yes | tail -n 3
}

# Nodes whose pods are gone would stay in the table for ever; one that has slots is kept until a replica has taken
# them over. forget_lost SEED IP...
forget_lost() {
  local seed=$1 id ip
  shift
  for id in $(ask "$seed" cluster nodes | awk '$3 ~ /fail/ && $3 !~ /fail\?/ && NF == 8 { print $1 }'); do
    echo "forgetting $id"
    for ip in "$@"; do ask "$ip" cluster forget "$id" >/dev/null; done
  done
}

# The master with the fewest replicas, of those whose pods are there: one that has just died is not known as failed yet.
# neediest_master SEED IP...
neediest_master() {
  local seed=$1
  shift
  ask "$seed" cluster nodes | awk -v ips="$*" '
    BEGIN { split(ips, list, " "); for (i in list) member[list[i]] }
    { split($2, address, ":") }
    $3 ~ /slave/ && $3 !~ /fail/ { count[$4] += 1 }
    $3 ~ /master/ && $3 !~ /fail/ && NF > 8 && address[1] in member { alive[$1] }
    END { for (id in alive) print count[id] + 0, id }' | sort -n | awk 'NR == 1 { print $2 }'
}

# Whether a pod serves nothing and copies nothing: a master without slots, or a replica of one that is gone or has lost
# its slots to another replica. One whose slots have nobody else yet is left to its replicas. is_idle SEED IP
is_idle() {
  local seed=$1 ip=$2 role master
  # A master without slots has eight words in its own line.
  read -r role master < <(ask "$ip" cluster nodes | awk '$3 ~ /myself/ { print (NF > 8 ? "serving" : $3), $4 }')
  case $role in
    *master*) return 0 ;;
    *slave*) ! ask "$seed" cluster nodes | awk -v id="$master" '$1 == id && NF > 8 { found = 1 } END { exit !found }' ;;
    *) return 1 ;;
  esac
}

# take_in SEED IP MEMBER...: a pod that knows only itself is met; one that is idle becomes a replica.
take_in() {
  local seed=$1 ip=$2 master
  if [[ $(known_nodes "$ip") == 1 ]]; then
    echo "meeting $ip"
    ask "$seed" cluster meet "$ip" "$port" >/dev/null
    return
  fi
  is_idle "$seed" "$ip" || return 0
  master=$(neediest_master "$seed" "${@:3}")
  [[ -z $master ]] || echo "$ip replicates $master: $(ask "$ip" cluster replicate "$master")"
}

trap 'exit 0' TERM
while true; do
  mapfile -t ips < <(members)
  if seed=$(a_member "${ips[@]}"); then
    forget_lost "$seed" "${ips[@]}"
    for ip in "${ips[@]}"; do take_in "$seed" "$ip" "${ips[@]}"; done
  else
    form "${ips[@]}"
  fi
  sleep 1 &
  wait $!
done
