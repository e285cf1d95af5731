#!/usr/bin/env bash
# Runs a step of this project with everything it needs: npm packages as the lockfile has them, and the pinned Node.
set -euo pipefail

if [[ $# -lt 1 || $1 == --help ]]; then
  echo "Usage: hack/npm-run.sh SCRIPT.ts [ARGUMENT...]" >&2
  echo "Installs the npm packages if they are absent or out of date, then runs the script with the pinned Node." >&2
  exit 2
fi

root=$(cd "$(dirname "$0")/.." && pwd)
# What was installed is remembered by the lockfile's own text, so that a new lockfile installs anew.
stamp=$root/node_modules/.lockfile-sha256
want=$(sha256sum "$root/package-lock.json" | cut -d' ' -f1)
if [[ ! -x $root/node_modules/.bin/node || $(cat "$stamp" 2>/dev/null) != "$want" ]]; then
  echo "installing npm packages" >&2
  (cd "$root" && npm ci --no-audit --no-fund --loglevel=error >&2)
  echo "$want" >"$stamp"
fi

script=$1
shift
export PATH="$root/node_modules/.bin:$PATH"
# Short collections: docs/performance.md says what each flag is for.
read -ra flags <"$root/hack/node-flags"
exec "$root/node_modules/.bin/node" "${flags[@]}" "$script" "$@"
