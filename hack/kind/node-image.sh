#!/usr/bin/env bash
# Makes a node image for kind of binaries built from Go modules and Debian packages, for machines that
# reach no image registry, and prints its name.
#
# Usage: hack/kind/node-image.sh [--help]
#
# Cold about 13 minutes on two cores, nearly all of it compilation; later a minute if Docker has lost
# the image, and nothing if it has it.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

WORK_DIR=
trap '[[ -z $WORK_DIR ]] || rm -rf "$WORK_DIR"' EXIT

# What the image is made of decides its tag, so that a change of it makes another image.
node_image_name() {
  local parts
  parts="$CONTAINERD_VERSION $ETCD_VERSION $ETCD_IMAGE_TAG $COREDNS_VERSION $PAUSE_VERSION $DEBIAN_SUITE"
  parts+=" $NODE_ROOTFS_VERSION $BASE_IMAGE_VERSION"
  parts+=$(cd "$KIND_DIR" && find node -type f -print0 | sort -z | xargs -0 sha256sum)
  echo "edgecache/node:$KUBERNETES_VERSION-$(sha256sum <<<"$parts" | cut -c 1-10)"
}

binary() { echo "$CACHE_DIR/binaries/$1-$2-$ARCH/$3"; }

# An image of one static binary. import_binary FILE IMAGE CHANGE...
import_binary() {
  local file=$1 image=$2 changes=() change
  shift 2
  for change in "$@"; do changes+=(--change "$change"); done
  tar -C "$(dirname "$file")" --transform 's,^,usr/local/bin/,' --owner=0 --group=0 -c "$(basename "$file")" |
    docker import --change 'ENV PATH=/usr/local/bin' "${changes[@]}" - "$image" >/dev/null
  CONTROL_PLANE_IMAGES+=("$image")
}

# kube-proxy calls iptables.
build_proxy_image() {
  local image=registry.k8s.io/kube-proxy:$KUBERNETES_VERSION proxy_base
  proxy_base=$("$KIND_DIR/debian-images.sh" proxy)
  mkdir -p "$WORK_DIR/proxy"
  cp "$(binary kubernetes "$KUBERNETES_VERSION" kube-proxy)" "$WORK_DIR/proxy/"
  printf 'FROM %s\nCOPY kube-proxy /usr/local/bin/\n' "$proxy_base" >"$WORK_DIR/proxy/Dockerfile"
  quietly "$CACHE_DIR/log/docker-proxy.log" env DOCKER_BUILDKIT=0 docker build -t "$image" "$WORK_DIR/proxy"
  CONTROL_PLANE_IMAGES+=("$image")
}

# Tags as kubeadm asks for them; nothing is pulled, so what is in them is ours to say.
build_control_plane_images() {
  local name
  CONTROL_PLANE_IMAGES=()
  for name in kube-apiserver kube-controller-manager kube-scheduler; do
    import_binary "$(binary kubernetes "$KUBERNETES_VERSION" "$name")" "registry.k8s.io/$name:$KUBERNETES_VERSION"
  done
  import_binary "$(binary etcd "$ETCD_VERSION" etcd)" "registry.k8s.io/etcd:$ETCD_IMAGE_TAG"
  import_binary "$(binary coredns "$COREDNS_VERSION" coredns)" "registry.k8s.io/coredns/coredns:$COREDNS_VERSION" \
    'ENTRYPOINT ["/usr/local/bin/coredns"]'
  import_binary "$(binary pause "$PAUSE_VERSION" pause)" "registry.k8s.io/pause:$PAUSE_VERSION" \
    'ENTRYPOINT ["/usr/local/bin/pause"]' 'USER 65535:65535'
  build_proxy_image
  check_tags
}

# kubeadm of another version asks for other images, and the node would wait for them in vain.
check_tags() {
  local wanted
  wanted=$("$(binary kubernetes "$KUBERNETES_VERSION" kubeadm)" config images list --kubernetes-version "$KUBERNETES_VERSION")
  diff <(sort <<<"$wanted") <(printf '%s\n' "${CONTROL_PLANE_IMAGES[@]}" | sort) >&2 ||
    die "versions.env does not name the images that kubeadm $KUBERNETES_VERSION asks for"
}

build_node_image() {
  local image=$1 rootfs started
  started=$(date +%s)
  "$KIND_DIR/build-binaries.sh" node
  rootfs=$("$KIND_DIR/debian-images.sh" rootfs)
  mkdir -p "$CACHE_DIR/tmp"
  WORK_DIR=$(mktemp -d "$CACHE_DIR/tmp/node.XXXXXX")
  log "building the images of the control plane"
  build_control_plane_images
  log "building $image"
  mkdir -p "$WORK_DIR/node"/{bin,containerd}
  cp -r "$KIND_DIR/node/files" "$KIND_DIR/node/Dockerfile" "$WORK_DIR/node/"
  for name in kubeadm kubelet kubectl; do ln "$(binary kubernetes "$KUBERNETES_VERSION" "$name")" "$WORK_DIR/node/bin/"; done
  for name in containerd ctr containerd-shim-runc-v2; do
    ln "$(binary containerd "$CONTAINERD_VERSION" "$name")" "$WORK_DIR/node/containerd/"
  done
  docker save -o "$WORK_DIR/node/images.tar" "${CONTROL_PLANE_IMAGES[@]}"
  # They live on in the node; nobody else should take them for the originals.
  docker rmi "${CONTROL_PLANE_IMAGES[@]}" >/dev/null
  # The classic builder: buildx is a plugin that Debian's Docker does not bring.
  quietly "$CACHE_DIR/log/docker-node.log" env DOCKER_BUILDKIT=0 docker build -t "$image" \
    --build-arg ROOTFS="$rootfs" --build-arg KUBERNETES_VERSION="$KUBERNETES_VERSION" \
    --build-arg PAUSE_VERSION="$PAUSE_VERSION" "$WORK_DIR/node"
  log "built $image in $(($(date +%s) - started)) s"
}

main() {
  case ${1:-} in
    '') ;;
    --help | -h) usage && return ;;
    *) usage >&2 && return 2 ;;
  esac
  local image
  image=$(node_image_name)
  "$KIND_DIR/docker.sh" start
  if ! docker image inspect "$image" >/dev/null 2>&1; then
    take_lock
    build_node_image "$image"
  fi
  echo "$image"
}

main "$@"
