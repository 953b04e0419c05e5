#!/usr/bin/env bash
# Build the real servers that the testbed tests talk to.
#
#   tests/testbed/build.sh BIN_DIR PART...      parts: hubble, kube, cilium, kustomize, gitea, helm
#
# Versions are pinned by each part's go.mod and go.sum. A binary is built again only when those, the
# Go version or the flags change, so a second call costs nothing and keeping BIN_DIR between CI runs
# is enough. A user's tests skip what is missing here; CI sets TESTBED=required.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=${1:?usage: build.sh BIN_DIR PART...}
shift
mkdir -p "$bin"
bin=$(cd "$bin" && pwd)
export GOFLAGS="-buildvcs=false -mod=readonly" GOTOOLCHAIN=local CGO_ENABLED=0

# build PART OUTPUT PACKAGE LINKER_FLAGS
build() {
  local part=$1 output=$2 package=$3 linker="-s -w $4" key started=$SECONDS
  key=$({ go version; cat "$here/$part/go.mod" "$here/$part/go.sum" $(find "$here/$part" -name '*.go'); echo "$package $linker"; } | sha256sum | cut -c1-16)
  if [[ -x $bin/$output && $(cat "$bin/$output.key" 2>/dev/null) == "$key" ]]; then
    echo "$output is current"
    return
  fi
  echo "building $output"
  (cd "$here/$part" && go build -trimpath -ldflags "$linker" -o "$bin/$output.new" "$package")
  mv "$bin/$output.new" "$bin/$output"
  echo "$key" >"$bin/$output.key"
  echo "built $output in $((SECONDS - started)) s"
}

build_hubble() {
  local cilium=github.com/cilium/cilium version=1.19.3
  build hubble hubble-relay $cilium/hubble-relay "-X $cilium/pkg/version.ciliumVersion=$version"
  build hubble hubble $cilium/hubble "-X $cilium/hubble/pkg.Version=v$version"
  build hubble blast ./blast ""
}

build_kube() {
  local version=k8s.io/component-base/version
  build kube etcd go.etcd.io/etcd/server/v3 ""
  build kube kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver \
    "-X $version.gitVersion=v1.35.4 -X $version.gitMajor=1 -X $version.gitMinor=35"
  # Cilium's own definitions of its kinds, from its module; nothing of them is kept here
  local cilium
  cilium=$(cd "$here/hubble" && go mod download -json github.com/cilium/cilium | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
  rm -rf "$bin/crds"
  cp -r --no-preserve=mode "$cilium/pkg/k8s/apis/cilium.io/client/crds/v2" "$bin/crds"
}

# The agent whose datapath carries the packets of tests/testbed/cilium; CILIUM_VERSION chooses another
# release, whose go.mod is under cilium/versions. Its eBPF sources and kinds stay beside it, so that a
# kept BIN_DIR needs no module cache.
build_cilium() {
  local version=${CILIUM_VERSION:-1.19.3} part=cilium module=github.com/cilium/cilium sources
  [[ $version == 1.19.3 ]] || part=cilium/versions/$version
  [[ -e $here/$part/go.mod ]] || { echo "no go.mod for Cilium $version under $here/cilium/versions" >&2; exit 2; }
  mkdir -p "$bin/cilium-$version"
  local name package
  for name in cilium-agent cilium-cni; do
    package=$module/daemon
    [[ $name == cilium-agent ]] || package=$module/plugins/cilium-cni
    build $part "cilium-$version/$name" $package "-X $module/pkg/version.ciliumVersion=$version"
  done
  [[ ! -e $bin/cilium-$version/sources.key || $(cat "$bin/cilium-$version/sources.key") != "$version" ]] || return 0
  sources=$(cd "$here/$part" && go mod download -json $module | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
  rm -rf "$bin/cilium-$version"/{bpf,crds}
  cp -r --no-preserve=mode "$sources/bpf" "$bin/cilium-$version/bpf"
  mkdir "$bin/cilium-$version/crds"
  cp --no-preserve=mode "$sources"/pkg/k8s/apis/cilium.io/client/crds/v2*/*.yaml "$bin/cilium-$version/crds"
  echo "$version" >"$bin/cilium-$version/sources.key"
}

# Gitea with SQLite, which takes a C compiler. What it reads at run time stays beside it.
build_gitea() {
  local module=code.gitea.io/gitea sources
  CGO_ENABLED=1 GOFLAGS="$GOFLAGS -tags=sqlite,sqlite_unlock_notify" build gitea gitea $module "-X main.Version=1.26.0"
  [[ ! -d $bin/gitea-static/templates ]] || return 0
  sources=$(cd "$here/gitea" && go mod download -json $module | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
  mkdir -p "$bin/gitea-static"
  cp -r --no-preserve=mode "$sources"/{templates,options,public} "$bin/gitea-static/"
}

build_kustomize() {
  build kustomize kustomize sigs.k8s.io/kustomize/kustomize/v5 ""
}

build_helm() {
  build helm helm helm.sh/helm/v3/cmd/helm ""
}

for part in "$@"; do
  case $part in
    kube) build_kube ;;
    hubble) build_hubble ;;
    cilium) build_cilium ;;
    kustomize) build_kustomize ;;
    gitea) build_gitea ;;
    helm) build_helm ;;
    *) echo "unknown part: $part" >&2; exit 2 ;;
  esac
done
