#!/usr/bin/env bash
# Ends with 0 if an image registry answers and with 1 if none does, within a few seconds.
#
# Usage: hack/kind/registry.sh [--help]
#
# Asks the mirrors that dockerd is configured with, then docker.io. EDGECACHE_OFFLINE=1 says no at once.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# Looks for the header of the registry protocol: a proxy may answer for hosts that it lets nobody reach.
registry_answers() {
  local url
  [[ ${EDGECACHE_OFFLINE:-0} != 1 ]] || return 1
  command -v curl >/dev/null || ensure_packages curl ca-certificates
  for url in $(timeout 5 docker info --format '{{range .RegistryConfig.Mirrors}}{{.}} {{end}}' 2>/dev/null) https://registry-1.docker.io/; do
    ! curl -sS --connect-timeout 2 --max-time 4 -o /dev/null -D - "${url%/}/v2/" 2>/dev/null |
      grep -qi '^docker-distribution-api-version:' || return 0
  done
  return 1
}

case ${1:-} in
  '') registry_answers ;;
  --help | -h) usage ;;
  *) usage >&2 && exit 2 ;;
esac
