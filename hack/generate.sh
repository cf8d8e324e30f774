#!/usr/bin/env bash
# Writes everything generated anew: Go code from the protocol buffers under api/,
# api/openapi.json, api/crds/, the manifests in deploy/, and the reference pages that are made from Go code.
set -euo pipefail
cd "$(dirname "$0")/.."

hack/tools.sh buf protoc-gen-go protoc-gen-go-grpc
.tools/bin/buf format -w api
.tools/bin/buf lint
.tools/bin/buf generate

# The tests that hold these files to the code also write them.
go test -count=1 ./internal/mesh ./internal/cloudinit ./internal/server ./internal/kubernetes/crd ./internal/kubernetes/install ./cmd/heddle ./test/terraform -run '(Is|Are)UpToDate$' -update >/dev/null
