#!/usr/bin/env bash
# Sees to it that a Docker daemon answers: installs Docker from Debian and starts dockerd where missing.
#
# Usage: hack/kind/docker.sh [--help] [start|stop|stop-idle|status]
#
#   start      (default) does nothing if a daemon answers already, whoever started it
#   stop       ends only the dockerd that `start` started
#   stop-idle  the same, and only if it has no container left
#   status     says whether a daemon answers, and whether it is ours
#
# Without an init system dockerd runs in a session of its own. Where the machine lacks CAP_SYS_RESOURCE,
# containers are started by way of a wrapper around runc, runc-without-sys-resource.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

STATE_DIR=$CACHE_DIR/docker
PID_FILE=$STATE_DIR/dockerd.pid
LOG_FILE=$STATE_DIR/dockerd.log

docker_answers() { timeout 10 docker version --format '{{.Server.Version}}'; }

# The pid in our file may be another process's by now.
is_ours() { [[ -s $PID_FILE && $(cat "/proc/$(cat "$PID_FILE")/comm" 2>/dev/null) == dockerd ]]; }

start() {
  ! docker_answers >/dev/null 2>&1 || return 0
  take_lock
  if ! command -v docker >/dev/null || ! command -v dockerd >/dev/null; then ensure_packages docker.io; fi
  is_root || die "no Docker daemon answers, and only root can start one"
  if is_ours; then
    log "dockerd is there but does not answer yet"
  elif [[ -d /run/systemd/system ]] && has_sys_resource; then
    log "starting docker.service"
    systemctl start docker
  else
    start_dockerd
  fi
  eventually 60 "Docker daemon (log: $LOG_FILE)" docker_answers
  log "dockerd $(docker_answers) answers"
}

start_dockerd() {
  local options=()
  mkdir -p "$STATE_DIR"
  if ! has_sys_resource; then
    ensure_packages jq runc
    # A copy: dockerd outlives the checkout that it was started from.
    install -m 0755 "$KIND_DIR/node/files/usr/local/sbin/runc-without-sys-resource" "$STATE_DIR/runc-without-sys-resource"
    options+=(--add-runtime "lowered=$STATE_DIR/runc-without-sys-resource" --default-runtime lowered)
    log "starting dockerd (no CAP_SYS_RESOURCE here: with a wrapper around runc)"
  else
    log "starting dockerd"
  fi
  # A dockerd that was killed leaves this behind, and the next one refuses to start.
  rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid "$PID_FILE"
  # A session of its own and no lock: neither Ctrl-C nor the end of this script may reach it.
  setsid nohup dockerd --pidfile "$PID_FILE" "${options[@]}" >"$LOG_FILE" 2>&1 </dev/null 9>&- &
  disown
}

stop() {
  is_ours || {
    log "no dockerd of ours is running"
    return 0
  }
  local pid
  pid=$(cat "$PID_FILE")
  log "stopping dockerd ($pid)"
  kill "$pid"
  eventually 60 "end of dockerd" test ! -d "/proc/$pid"
}

stop-idle() {
  is_ours && docker_answers >/dev/null 2>&1 || return 0
  take_lock
  [[ -z $(docker ps -aq) ]] || {
    log "dockerd goes on: it has other containers"
    return 0
  }
  stop
}

status() {
  docker_answers >/dev/null 2>&1 || die "no Docker daemon answers"
  if is_ours; then log "dockerd answers; hack/kind/docker.sh started it"; else log "dockerd answers; it is not ours"; fi
}

case ${1:-start} in
  --help | -h) usage ;;
  start | stop | stop-idle | status) "${1:-start}" ;;
  *) usage >&2 && exit 2 ;;
esac
