#!/usr/bin/env bash
# Writes everything generated anew: Go code from the protocol buffers under api/,
# and the reference pages that are made from Go types.
set -euo pipefail
cd "$(dirname "$0")/.."

hack/tools.sh buf protoc-gen-go protoc-gen-go-grpc
.tools/bin/buf format -w api
.tools/bin/buf lint
.tools/bin/buf generate

go test -count=1 ./internal/mesh -run Reference -update >/dev/null
