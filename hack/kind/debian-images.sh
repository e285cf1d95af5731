#!/usr/bin/env bash
# Makes Docker images from Debian packages, where no registry has ready-made ones.
#
# Usage: hack/kind/debian-images.sh [--help] [base|redis|proxy|rootfs]...    (default: base redis)
#
#   base    edgecache/base:VERSION   minimal Debian with what a Node.js binary links to: BASE_IMAGE of
#                                    the project's Dockerfiles
#   redis   edgecache/redis:VERSION  base and redis-server, redis-cli
#   proxy   edgecache/proxy-base     base and iptables, for kube-proxy
#   rootfs  edgecache/node-rootfs    systemd and what a Kubernetes node needs
#
# Prints the name of each image. Packages and root file systems are kept in the cache.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

BASE_IMAGE=edgecache/base:$BASE_IMAGE_VERSION
REDIS_IMAGE=edgecache/redis:$REDIS_IMAGE_VERSION
PROXY_IMAGE=edgecache/proxy-base:$BASE_IMAGE_VERSION
ROOTFS_IMAGE=edgecache/node-rootfs:$DEBIAN_SUITE-$NODE_ROOTFS_VERSION

BASE_PACKAGES=ca-certificates,libatomic1,libstdc++6
ROOTFS_PACKAGES=systemd,systemd-sysv,dbus,conntrack,iptables,nftables,iproute2,ethtool,mount,kmod,jq,procps
ROOTFS_PACKAGES+=,runc,containernetworking-plugins,socat,curl,ca-certificates,openssl

WORK_DIR=
CONTAINER=
clean_up() {
  [[ -z $CONTAINER ]] || docker rm -f "$CONTAINER" >/dev/null 2>&1 || true
  [[ -n $WORK_DIR ]] || return 0
  # debootstrap may have been cut short with these mounted.
  umount "$WORK_DIR/tree/proc" "$WORK_DIR/tree/sys" 2>/dev/null || true
  rm -rf --one-file-system "$WORK_DIR"
}
trap clean_up EXIT

image_exists() { docker image inspect "$1" >/dev/null 2>&1; }

# The mirror that this machine's apt uses, as it may be the only one in reach.
debian_mirror() {
  local mirror
  # shellcheck disable=SC2016 # apt's own variable
  mirror=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' 2>/dev/null | grep -m 1 '/debian/\?$' || true)
  echo "${DEBIAN_MIRROR:-${mirror:-http://deb.debian.org/debian}}"
}

# run_debootstrap NAME OPTION...: debootstrap into $WORK_DIR/tree, with packages kept for the next time.
run_debootstrap() {
  local name=$1
  shift
  is_root || die "only root can build a root file system"
  ensure_packages debootstrap debian-archive-keyring
  mkdir -p "$CACHE_DIR/debs" "$CACHE_DIR/tmp"
  WORK_DIR=$(mktemp -d "$CACHE_DIR/tmp/debian.XXXXXX")
  quietly "$CACHE_DIR/log/debootstrap-$name.log" nice -n 19 debootstrap --variant=minbase --arch="$ARCH" \
    --cache-dir="$CACHE_DIR/debs" "$@" "$DEBIAN_SUITE" "$WORK_DIR/tree" "$(debian_mirror)"
}

# Imports the root file system with the packages as an image. import_rootfs IMAGE PACKAGES
import_rootfs() {
  local image=$1 packages=$2 archive started
  archive=$CACHE_DIR/rootfs/${image//[\/:]/-}-$ARCH.tar
  image_exists "$image" && return
  if [[ ! -f $archive ]]; then
    log "building a root file system for $image"
    started=$(date +%s)
    run_debootstrap "${image//[\/:]/-}" --include="$packages"
    strip_tree "$WORK_DIR/tree"
    mkdir -p "$CACHE_DIR/rootfs"
    tar -C "$WORK_DIR/tree" --one-file-system --sort=name -cf "$archive.part" .
    mv "$archive.part" "$archive"
    clean_up
    WORK_DIR=
    log "built the root file system for $image in $(($(date +%s) - started)) s"
  fi
  docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'CMD ["/bin/bash"]' "$archive" "$image" >/dev/null
}

# Documentation and package lists are a third of a minimal Debian.
strip_tree() {
  find "$1/usr/share/doc" -mindepth 1 ! -name copyright ! -type d -delete
  rm -rf "$1"/usr/share/{man,info,locale,lintian}/* "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*.log
  rm -f "$1/etc/resolv.conf" "$1/etc/hostname"
  : >"$1/etc/machine-id"
}

# Installs more packages on the base image. Done in a container without a network: the packages are
# fetched by debootstrap on the machine, whose way to a mirror a container may not have.
# derive_image IMAGE PACKAGES COMMIT_CHANGE...
derive_image() {
  local image=$1 packages=$2 changes=() folder change
  shift 2
  image_exists "$image" && return
  import_rootfs "$BASE_IMAGE" "$BASE_PACKAGES"
  folder=$CACHE_DIR/derived-debs/${image//[\/:]/-}-$ARCH
  if [[ ! -d $folder ]]; then
    log "fetching the packages of $image"
    run_debootstrap "${image//[\/:]/-}" --download-only --include="$BASE_PACKAGES,$packages"
    mkdir -p "${folder%/*}"
    mv "$WORK_DIR/tree/var/cache/apt/archives" "$folder"
    clean_up
    WORK_DIR=
  fi
  log "building $image"
  for change in "$@"; do changes+=(--change "$change"); done
  CONTAINER=edgecache-build-$$
  # dpkg orders the packages itself when it is given all; those of the base are skipped.
  quietly "$CACHE_DIR/log/derive.log" docker run --name "$CONTAINER" --network none -v "$folder:/debs:ro" \
    -e DEBIAN_FRONTEND=noninteractive "$BASE_IMAGE" \
    sh -euc 'dpkg --install --skip-same-version /debs/*.deb; rm -rf /usr/share/man/* /usr/share/locale/* /var/log/*.log'
  docker commit "${changes[@]}" "$CONTAINER" "$image" >/dev/null
  docker rm "$CONTAINER" >/dev/null
  CONTAINER=
}

base() { import_rootfs "$BASE_IMAGE" "$BASE_PACKAGES" && echo "$BASE_IMAGE"; }
rootfs() { import_rootfs "$ROOTFS_IMAGE" "$ROOTFS_PACKAGES" && echo "$ROOTFS_IMAGE"; }

redis() {
  # Debian's configuration listens on loopback only and detaches; the image's command does neither.
  derive_image "$REDIS_IMAGE" redis-server 'USER 65532:65532' 'WORKDIR /tmp' 'EXPOSE 6379' 'ENTRYPOINT []' \
    'CMD ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no"]'
  echo "$REDIS_IMAGE"
}

proxy() {
  derive_image "$PROXY_IMAGE" iptables,nftables,conntrack,ipset,kmod 'CMD []'
  echo "$PROXY_IMAGE"
}

main() {
  local image
  (($#)) || set -- base redis
  for image in "$@"; do
    case $image in
      --help | -h) usage && return ;;
      base | redis | proxy | rootfs) ;;
      *) usage >&2 && return 2 ;;
    esac
  done
  "$KIND_DIR/docker.sh" start
  take_lock
  for image in "$@"; do "$image"; done
}

main "$@"
