# shellcheck shell=bash
# Sourced: ensure_go, which sees to it that `go` on PATH is at least GO_VERSION.

# Uses the machine's Go if it is new enough; a Go of 1.21 or newer fetches the right toolchain by
# itself; without either, takes the toolchain from the Go module proxy, where it is a module as well.
ensure_go() {
  [[ -z ${EDGECACHE_GO_READY:-} ]] || return 0
  local have
  have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true)
  have=${have#go}
  if [[ -z $have ]] || is_older "$have" 1.21; then
    install_go_toolchain
  elif is_older "$have" "$GO_VERSION"; then
    log "Go $have is older than $GO_VERSION: using Go's own download of that toolchain"
    export GOTOOLCHAIN=go$GO_VERSION
  fi
  export EDGECACHE_GO_READY=1
}

# is_older A B: whether version A comes before version B.
is_older() { [[ $1 != "$2" && $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

install_go_toolchain() {
  local target=$CACHE_DIR/go-$GO_VERSION-$ARCH name sum
  if [[ ! -x $target/bin/go ]]; then
    name=v0.0.1-go$GO_VERSION.linux-$ARCH
    sum=GO_TOOLCHAIN_SHA256_$ARCH
    [[ -n ${!sum:-} ]] || die "no Go of 1.21 or newer, and no checksum for $ARCH in versions.env to fetch one by"
    ensure_packages curl unzip ca-certificates
    log "fetching Go $GO_VERSION from the Go module proxy"
    mkdir -p "$CACHE_DIR/tmp"
    rm -rf "$CACHE_DIR/tmp/go"
    quietly "$CACHE_DIR/log/go.log" fetch_from_proxy "golang.org/toolchain/@v/$name.zip" "$CACHE_DIR/tmp/go.zip"
    echo "${!sum}  $CACHE_DIR/tmp/go.zip" | sha256sum --check --quiet ||
      die "the Go toolchain is not the one that versions.env names"
    quietly "$CACHE_DIR/log/go.log" unzip -q "$CACHE_DIR/tmp/go.zip" -d "$CACHE_DIR/tmp/go"
    # Modules carry no executable bits.
    chmod -R u+w,a+x "$CACHE_DIR/tmp/go/golang.org/toolchain@$name"/{bin,pkg/tool}
    mv "$CACHE_DIR/tmp/go/golang.org/toolchain@$name" "$target"
    rm -rf "$CACHE_DIR/tmp/go" "$CACHE_DIR/tmp/go.zip"
  fi
  export PATH=$target/bin:$PATH GOTOOLCHAIN=local
}

# Tries the proxies of GOPROXY in their order. fetch_from_proxy PATH FILE
fetch_from_proxy() {
  local proxy
  for proxy in ${GOPROXY:+${GOPROXY//[,|]/ }} https://proxy.golang.org; do
    [[ $proxy == http* ]] || continue
    curl -fsSL --retry 3 --connect-timeout 10 -o "$2" "${proxy%/}/$1" && return
  done
  return 1
}
