#!/usr/bin/env bash
# The fast checks: formatting, vet, linter, tidy go.mod, generated code up to date,
# import rules. Each failure says how to mend it.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
fail() { echo "check: $1" >&2; failed=1; }

unformatted=$(git ls-files -co --exclude-standard '*.go' | grep -v '\.pb\.go$' | xargs -r gofmt -l)
[ -z "$unformatted" ] || fail "not formatted, run gofmt -w on: $unformatted"

go mod tidy -diff >/dev/null || fail "go.mod is not tidy: run go mod tidy"
go -C test/gatewayapi mod tidy -diff >/dev/null || fail "test/gatewayapi/go.mod is not tidy: run go -C test/gatewayapi mod tidy"

# go vet is one of its linters.
hack/tools.sh golangci-lint && .tools/bin/golangci-lint run --allow-parallel-runners ./... || fail "golangci-lint"

before=$(git status --porcelain)
hack/generate.sh >/dev/null || fail "hack/generate.sh failed"
[ "$before" = "$(git status --porcelain)" ] || fail "generated files are not up to date: run make generate and commit: $(git status --porcelain)"

go test -count=1 ./internal || fail "import rules"

long=$(git ls-files '*.go' | grep -v '\.pb\.go$' | xargs wc -l | awk '$2 != "total" && (($2 ~ /_test\.go$/ && $1 > 800) || ($2 !~ /_test\.go$/ && $1 > 500)) {print $2 " (" $1 " lines)"}')
[ -z "$long" ] || fail "too long, more than one idea each: $long"

[ "$failed" = 0 ] && echo "check: all good"
exit "$failed"
