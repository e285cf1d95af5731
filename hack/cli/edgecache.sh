#!/bin/sh
# The command line of Edge Cache; called kubectl-edgecache on the PATH, it is a plugin of kubectl.
set -eu

# What stands on the PATH may be a link, and krew makes one: readlink -f is not on every system.
self=$0
while [ -L "$self" ]; do
  target=$(readlink "$self")
  case $target in
    /*) self=$target ;;
    *) self=$(dirname "$self")/$target ;;
  esac
done
root=$(cd "$(dirname "$self")/.." && pwd)

node=${EDGECACHE_NODE:-node}
if ! command -v "$node" >/dev/null 2>&1; then
  echo "edgecache: there is no '$node': install Node.js 22 or newer, or set EDGECACHE_NODE to where it is" >&2
  exit 127
fi
version=$("$node" --version)
major=${version#v}
if [ "${major%%.*}" -lt 22 ]; then
  echo "edgecache: '$node' is Node.js $version: it needs 22 or newer; set EDGECACHE_NODE to where that is" >&2
  exit 127
fi
exec "$node" "$root/lib/cli/main.js" "$@"
