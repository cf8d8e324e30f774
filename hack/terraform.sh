#!/usr/bin/env bash
# Gets a real Terraform, for the tests that render what the modules give their machines:
# the one on PATH if it is new enough, and else one that is built from its Go module into
# .tools/terraform/. Says in one line which is used. Idempotent.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.11.4 # the oldest that the modules take: what it renders, later ones do
own=.tools/terraform

say() { echo "terraform: $*"; }

if found=$(command -v terraform) && has=$(CHECKPOINT_DISABLE=1 terraform version -json 2>/dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["terraform_version"])') &&
  [ "$(printf '%s\n' 1.11.0 "$has" | sort -V | head -n 1)" = 1.11.0 ]; then
  say "using $found ($has)"
  exit 0
fi
if [ -x "$own/terraform" ] && [ "$(cat "$own/version" 2>/dev/null)" = "$version" ]; then
  say "using $own ($version)"
  exit 0
fi

mkdir -p .tools
work=$(mktemp -d .tools/terraform.XXXXXX) # beside its destination, so that the move at the end is atomic
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
say "building $version (some 5 minutes on two cores the first time)"
start=$SECONDS
folder=$(GOFLAGS=-mod=mod go mod download -json "github.com/hashicorp/terraform@v$version" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
cp -r "$folder" "$work/source" # the module cache is read-only, and so is not built in
chmod -R u+w "$work/source"
cd "$work/source"
# The backends for states in clouds are modules that are never published: it is built
# without them. The settings are those of a Go of that time.
go mod edit -dropgodebug=tlskyber -dropgodebug=winsymlink
for one in backend/remote-state/{azure,consul,cos,gcs,kubernetes,oss,pg,s3} legacy; do
  go mod edit "-dropreplace=github.com/hashicorp/terraform/internal/$one" "-droprequire=github.com/hashicorp/terraform/internal/$one"
done
sed -i -E '/backend(Azure|Consul|Cos|GCS|Kubernetes|OSS|Pg|S3)\b/d' internal/backend/init/init.go
mkdir ../new
# -s -w: without what only a debugger reads the binary is a third smaller.
GOFLAGS=-mod=mod nice go build -buildvcs=false -trimpath -ldflags '-s -w -X github.com/hashicorp/terraform/version.dev=no' -o ../new/terraform . ||
  { say "could not build $version; see above" >&2; exit 1; }
cd - >/dev/null
CHECKPOINT_DISABLE=1 "$work/new/terraform" version >/dev/null || { say "the $version that was built does not run" >&2; exit 1; }
echo "$version" >"$work/new/version"
chmod 0755 "$work/new"
rm -rf "$own"
mv "$work/new" "$own"
say "built $own ($version) in $((SECONDS - start)) s"
