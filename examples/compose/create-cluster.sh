#!/bin/sh
# Makes one cluster of the nodes, the second half as replicas of the first; does nothing where there is one.
set -eu

if [ "${1:-}" = --help ]; then
  echo "Usage: CLUSTER_NODES='HOST:PORT ...' REDISCLI_AUTH=PASSWORD create-cluster.sh"
  echo "Run it where tls/ is. Addresses, not names: nodes tell them to one another."
  exit 0
fi
: "${CLUSTER_NODES:?addresses of the nodes, separated by spaces}"
: "${REDISCLI_AUTH:?password of the user admin}"

cli() { redis-cli --tls --cacert tls/ca.crt --cert tls/client.crt --key tls/client.key --user admin --no-auth-warning "$@"; }
first=${CLUSTER_NODES%% *}
state() { cli -h "${first%:*}" -p "${first##*:}" cluster info | tr -d '\r' | sed -n "s/^$1://p"; }

if [ "$(state cluster_slots_assigned)" = 16384 ]; then
  echo "the cluster is there already: $(state cluster_state)"
  exit 0
fi
# shellcheck disable=SC2086 # one word each
cli --cluster create $CLUSTER_NODES --cluster-replicas 1 --cluster-yes
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  if [ "$(state cluster_state)" = ok ]; then exit 0; fi
  sleep 1
done
echo "the cluster was made, but is not well after 20 s: $(state cluster_state)" >&2
exit 1
