# shellcheck shell=bash
# Sourced: choose_node_image, which finds out what the nodes are made of on this machine.

# Prints the public node image if it can be had and can run here, and nothing otherwise.
public_node_image() {
  if ! has_sys_resource; then
    log "no CAP_SYS_RESOURCE here, which kindest/node needs: the nodes are made of Debian packages and Go modules"
  elif ! is_cgroup_v2; then
    log "cgroup v1 here, where kindest/node does not start: the nodes are made of Debian packages and Go modules"
  elif docker image inspect "$KIND_NODE_IMAGE" >/dev/null 2>&1; then
    echo "$KIND_NODE_IMAGE"
  elif ! "$KIND_DIR/registry.sh"; then
    log "no image registry answers: the nodes are made of Debian packages and Go modules"
  else
    log "pulling $KIND_NODE_IMAGE"
    if quietly "$CACHE_DIR/log/docker-pull.log" timeout 900 docker pull "$KIND_NODE_IMAGE"; then
      echo "$KIND_NODE_IMAGE"
    fi
  fi
}

# Prints the image to use; makes it first where none can be pulled. EDGECACHE_NODE_IMAGE decides alone;
# EDGECACHE_OFFLINE=1 asks no registry.
choose_node_image() {
  local image=${EDGECACHE_NODE_IMAGE:-}
  [[ -n $image || ${EDGECACHE_OFFLINE:-0} == 1 ]] || image=$(public_node_image)
  [[ -n $image ]] || image=$("$KIND_DIR/node-image.sh")
  echo "$image"
}
