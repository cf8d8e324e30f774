#!/usr/bin/env bash
# Installs development tools, each at the version pinned here, into .tools/bin:
# `hack/tools.sh NAME...`, all of them without names. Idempotent.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A modules=(
  [benchstat]=golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
  [buf]=github.com/bufbuild/buf/cmd/buf@v1.75.0
  [golangci-lint]=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
  [gotestsum]=gotest.tools/gotestsum@v1.13.0
  [protoc-gen-go]=google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
  [protoc-gen-go-grpc]=google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
)

[ $# -gt 0 ] || set -- "${!modules[@]}"
mkdir -p .tools/bin
for name in "$@"; do
  module=${modules[$name]:-}
  [ -n "$module" ] || { echo "tools: no tool is called $name; there are: ${!modules[*]}" >&2; exit 1; }
  stamp=.tools/bin/.$name
  if [ -x ".tools/bin/$name" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$module" ]; then continue; fi
  echo "tools: building $name ${module##*@}" >&2
  GOBIN=$PWD/.tools/bin GOFLAGS= go install "$module"
  echo "$module" >"$stamp"
done
