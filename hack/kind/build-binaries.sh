#!/usr/bin/env bash
# Builds what the cluster needs from Go modules, into the cache, once per version.
#
# Usage: hack/kind/build-binaries.sh [--help] tools|node|kwok|all
#
#   tools   kind, helm, kubectl: what the machine runs
#   node    Kubernetes, containerd, etcd, CoreDNS, pause: what a node image without a registry is made of
#   kwok    kwok: what simulates nodes for npm run scale
#
# Runs under `nice -n 19`, two compilations at a time (override with GOFLAGS=-p=N).
# Cold, on two cores, `tools` takes about 3 minutes and `node` about 10.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
source "$KIND_DIR/go.sh"

WORK_DIR=
trap '[[ -z $WORK_DIR ]] || rm -rf "$WORK_DIR"' EXIT

# Where the binaries of one module at one version are kept. binary_dir NAME VERSION
binary_dir() { echo "$CACHE_DIR/binaries/$1-$2-$ARCH"; }

# Runs a build, timed, unless its binaries are there; a build that was cut short leaves nothing behind.
# build_once NAME VERSION BUILD_FUNCTION BINARY...
build_once() {
  local name=$1 version=$2 build=$3 target binary started missing=()
  shift 3
  target=$(binary_dir "$name" "$version")
  for binary in "$@"; do [[ -x $target/$binary ]] || missing+=("$binary"); done
  ((${#missing[@]})) || return 0
  ensure_go
  mkdir -p "$target" "$CACHE_DIR/tmp"
  for binary in "${missing[@]}"; do
    started=$(date +%s)
    log "building $binary $version"
    WORK_DIR=$(mktemp -d "$CACHE_DIR/tmp/build.XXXXXX")
    quietly "$CACHE_DIR/log/build-$binary.log" "$build" "$binary" "$WORK_DIR"
    mv "$WORK_DIR/out" "$target/$binary"
    rm -rf "$WORK_DIR"
    WORK_DIR=
    log "built $binary $version in $(($(date +%s) - started)) s"
  done
}

go_build() { nice -n 19 env CGO_ENABLED=0 GOFLAGS="${GOFLAGS:--p=2} -buildvcs=false" go build -trimpath "$@"; }

# Builds PACKAGE of a module that has no replacements: a module of our own that requires it, in the
# folder of the work. `go install` cannot be told where to put a binary under a name of ours.
build_package() {
  local work=$1 module=$2 version=$3 package=$4
  shift 4
  cd "$work"
  start_module "$module" "$version"
  go_build -mod=mod -o out "$@" "$package"
}

# A go.mod with the requirements of MODULE itself, so that the versions are those its authors tested;
# replacements by folders of its repository become the published version REPLACED_BY.
start_module() {
  local module=$1 version=$2 replaced_by=${3:-$2} info folder old new
  info=$(go mod download -json "$module@$version")
  folder=$(jq -r .Dir <<<"$info")
  cp "$(jq -r .GoMod <<<"$info")" go.mod
  [[ ! -e $folder/go.sum ]] || cp "$folder/go.sum" go.sum
  chmod u+w go.mod go.sum
  go mod edit -module=edgecache.dev/build -require="$module@$version" -dropreplace="$module"
  while read -r old new; do
    [[ $new == ./* || $new == ../* ]] || continue
    go mod edit -dropreplace="$old"
    [[ $new != *FORBIDDEN* ]] || continue
    go mod edit -replace="$old=$old@$replaced_by"
  done < <(go mod edit -json | jq -r '.Replace[]? | "\(.Old.Path) \(.New.Path)"')
}

build_kubernetes() {
  local binary=$1 work=$2 version=k8s.io/component-base/version flags minor
  minor=${KUBERNETES_VERSION#v1.}
  flags="-s -w -X $version.gitVersion=$KUBERNETES_VERSION -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}"
  flags+=" -X $version.gitTreeState=clean -X k8s.io/client-go/pkg/version.gitVersion=$KUBERNETES_VERSION"
  cd "$work"
  # The staging modules of v1.36.3 are published as v0.36.3.
  start_module k8s.io/kubernetes "$KUBERNETES_VERSION" "v0.${KUBERNETES_VERSION#v1.}"
  go_build -mod=mod -ldflags "$flags" -o out "k8s.io/kubernetes/cmd/$binary"
}

build_containerd() {
  local module=github.com/containerd/containerd/v2
  build_package "$2" "$module" "$CONTAINERD_VERSION" "$module/cmd/$1" -tags no_btrfs,no_devmapper,no_zfs \
    -ldflags "-s -w -X $module/version.Version=$CONTAINERD_VERSION"
}

build_etcd() { build_package "$2" go.etcd.io/etcd/server/v3 "$ETCD_VERSION" go.etcd.io/etcd/server/v3 -ldflags '-s -w'; }
build_coredns() { build_package "$2" github.com/coredns/coredns "$COREDNS_VERSION" github.com/coredns/coredns -ldflags '-s -w'; }
build_kind() { build_package "$2" sigs.k8s.io/kind "$KIND_VERSION" sigs.k8s.io/kind -ldflags '-s -w'; }

build_kwok() {
  build_package "$2" sigs.k8s.io/kwok "$KWOK_VERSION" "sigs.k8s.io/kwok/cmd/$1" \
    -ldflags "-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=$KWOK_VERSION"
}

build_helm() {
  build_package "$2" helm.sh/helm/v3 "$HELM_VERSION" helm.sh/helm/v3/cmd/helm \
    -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=$HELM_VERSION"
}

build_pause() {
  cp "$KIND_DIR/node/pause.go" "$2/main.go"
  cd "$2"
  go_build -ldflags '-s -w' -o out main.go
}

# kwok simulates nodes by these; without them its pods never become Ready.
keep_kwok_stages() {
  local target=$CACHE_DIR/kwok-stages-$KWOK_VERSION.yaml folder file
  [[ ! -f $target ]] || return 0
  ensure_go
  folder=$(go mod download -json "sigs.k8s.io/kwok@$KWOK_VERSION" | jq -r .Dir)/kustomize/stage
  for file in "$folder"/{node/fast,node/heartbeat-with-lease,pod/fast}/*.yaml; do
    [[ $file == */kustomization.yaml ]] || printf -- '---\n%s\n' "$(cat "$file")"
  done >"$target.part"
  mv "$target.part" "$target"
}

# Puts the pinned tools under their plain names into one folder, for PATH.
link_tools() {
  mkdir -p "$TOOLS_DIR"
  ln -sfn "$(binary_dir kind "$KIND_VERSION")/kind" "$TOOLS_DIR/kind"
  ln -sfn "$(binary_dir helm "$HELM_VERSION")/helm" "$TOOLS_DIR/helm"
  ln -sfn "$(binary_dir kubernetes "$KUBERNETES_VERSION")/kubectl" "$TOOLS_DIR/kubectl"
}

build_tools() {
  build_once kind "$KIND_VERSION" build_kind kind
  build_once kubernetes "$KUBERNETES_VERSION" build_kubernetes kubectl
  build_once helm "$HELM_VERSION" build_helm helm
  link_tools
}

build_kwok_tools() {
  mkdir -p "$TOOLS_DIR"
  build_once kwok "$KWOK_VERSION" build_kwok kwok
  keep_kwok_stages
  ln -sfn "$(binary_dir kwok "$KWOK_VERSION")/kwok" "$TOOLS_DIR/kwok"
  ln -sfn "kwok-stages-$KWOK_VERSION.yaml" "$CACHE_DIR/kwok-stages.yaml"
}

build_node() {
  build_once kubernetes "$KUBERNETES_VERSION" build_kubernetes \
    kubeadm kubelet kube-apiserver kube-controller-manager kube-scheduler kube-proxy
  build_once containerd "$CONTAINERD_VERSION" build_containerd containerd ctr containerd-shim-runc-v2
  build_once etcd "$ETCD_VERSION" build_etcd etcd
  build_once coredns "$COREDNS_VERSION" build_coredns coredns
  build_once pause "$PAUSE_VERSION" build_pause pause
}

main() {
  case ${1:-} in
    --help | -h) usage && return ;;
    tools | node | kwok | all) ;;
    *) usage >&2 && return 2 ;;
  esac
  take_lock
  command -v jq >/dev/null || ensure_packages jq ca-certificates
  case $1 in tools | all) build_tools ;; esac
  case $1 in node | all) build_node ;; esac
  case $1 in kwok | all) build_kwok_tools ;; esac
}

main "$@"
