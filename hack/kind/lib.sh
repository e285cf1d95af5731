# shellcheck shell=bash
# What the scripts of this folder share: folders, versions, progress lines, locks. Sourced, never run.

KIND_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=versions.env
source "$KIND_DIR/versions.env"

CACHE_DIR=${EDGECACHE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/edgecache}
TOOLS_DIR=$CACHE_DIR/bin
ARCH=$(uname -m)
case $ARCH in
  x86_64) ARCH=amd64 ;;
  aarch64) ARCH=arm64 ;;
esac
# Tools of the pinned versions win over whatever the machine has under the same name.
export PATH=$TOOLS_DIR:$PATH
# The seconds in a line count from the start of the outermost script.
export EDGECACHE_STARTED_AT=${EDGECACHE_STARTED_AT:-$(date +%s)}

# Prints a progress line, with the time since the start, on stderr: stdout is for results.
log() { printf '[%4ds] %s\n' "$(($(date +%s) - EDGECACHE_STARTED_AT))" "$*" >&2; }

die() {
  log "error: $*"
  exit 1
}

# Prints the comment block at the head of a script, which is its manual.
usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }

# Runs a command, in a subshell, whose output matters only if it fails. quietly LOGFILE COMMAND...
quietly() {
  local file=$1 status
  shift
  mkdir -p "$(dirname "$file")"
  # Not `... || status=$?`: that would switch `set -e` off within the command.
  set +e
  (
    set -e
    "$@"
  ) >"$file" 2>&1
  status=$?
  set -e
  ((status == 0)) || {
    tail -n 40 "$file" >&2
    log "failed ($status): $*; the whole output is in $file"
    return "$status"
  }
}

# Polls a condition until it holds. eventually SECONDS WHAT COMMAND...
eventually() {
  local seconds=$1 what=$2 deadline
  shift 2
  deadline=$(($(date +%s) + seconds))
  until "$@" >/dev/null 2>&1; do
    (($(date +%s) < deadline)) || {
      "$@" >&2 || true
      die "$what: not within ${seconds} s"
    }
    sleep 0.5
  done
}

# Makes two runs at once take turns. The lock is held until the process that took it ends; background
# daemons must be started with 9>&- or they would hold it for ever.
take_lock() {
  [[ -z ${EDGECACHE_LOCKED:-} ]] || return 0
  mkdir -p "$CACHE_DIR"
  exec 9>"$CACHE_DIR/lock"
  flock -n 9 || {
    log "another run is using $CACHE_DIR; waiting for it"
    flock 9
  }
  export EDGECACHE_LOCKED=1
}

is_root() { (($(id -u) == 0)); }

# Two of this project's commands that start together take turns, as hack/local/redis-install.ts does: apt-get update
# itself does not wait for another.
apt_get() {
  flock --timeout 600 /tmp/edgecache-apt.lock apt-get -o DPkg::Lock::Timeout=600 "$@"
}

# Installs Debian packages that are missing. Says nothing when all are there.
ensure_packages() {
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "install these first: ${missing[*]}"
  is_root || die "must be root to install Debian packages: ${missing[*]}"
  log "installing Debian packages: ${missing[*]}"
  quietly "$CACHE_DIR/log/apt-update.log" apt_get update -qq ||
    log "apt-get update failed in part; going on with the package lists that are there"
  local policy=/usr/sbin/policy-rc.d status=0
  # Without systemd, packages must not start daemons by themselves: docker.sh starts dockerd its own way.
  [[ -e $policy || -d /run/systemd/system ]] && policy= || printf '#!/bin/sh\nexit 101\n' >"$policy"
  [[ -z $policy ]] || chmod +x "$policy"
  DEBIAN_FRONTEND=noninteractive quietly "$CACHE_DIR/log/apt-install.log" \
    apt_get install -y -qq --no-install-recommends "${missing[@]}" || status=$?
  [[ -z $policy ]] || rm -f "$policy"
  return "$status"
}

# Whether the kernel lets root here raise limits and lower OOM scores. Bit 24 is CAP_SYS_RESOURCE.
has_sys_resource() {
  local bounding
  bounding=$(awk '/^CapBnd:/ { print $2 }' /proc/self/status)
  ((0x$bounding >> 24 & 1))
}

is_cgroup_v2() { [[ -f /sys/fs/cgroup/cgroup.controllers ]]; }

# Whether an image was made by node-image.sh, and hence needs network.sh.
is_built_image() { [[ $1 == edgecache/node:* ]]; }

# Where a cluster's kubeconfig and the like are kept. cluster_dir NAME
cluster_dir() { echo "$CACHE_DIR/clusters/$1"; }
