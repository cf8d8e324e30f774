#!/usr/bin/env bash
# Gets the real provider azurerm of Terraform into .tools/azurerm/: builds it from its Go
# module, unless Terraform finds it on this machine already. Says in one line which is
# used. Idempotent; the first build takes a quarter of an hour of CPU.
set -euo pipefail
cd "$(dirname "$0")/.."
version=5.2.0
module=github.com/hashicorp/terraform-provider-azurerm@v1.44.1-0.20260824201233-fae580791926 # the commit of v5.2.0: the module proxy knows no tags from v2 on
platform=$(go env GOOS)_$(go env GOARCH)
path=registry.terraform.io/hashicorp/azurerm/$version/$platform
program=terraform-provider-azurerm_v$version
own=.tools/azurerm

say() { echo "azurerm: $*"; }

installed=${HOME:-/nonexistent}/.terraform.d/plugins/$path/$program
if [ -x "$installed" ]; then
  say "using $installed"
  exit 0
fi
if [ -x "$own/$path/$program" ] && [ "$(cat "$own/version" 2>/dev/null)" = "$module" ]; then
  say "using $own ($version)"
  exit 0
fi

mkdir -p .tools
work=$(mktemp -d .tools/azurerm.XXXXXX) # beside its destination, so that the move at the end is atomic
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
say "building $version"
folder=$(GOFLAGS=-mod=mod go mod download -json "$module" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
cp -r "$folder" "$work/source" # the module cache is read-only, and so is not built in
chmod -R u+w "$work/source"
mkdir -p "$work/new/$path"
# -s -w: without what only a debugger reads the binary is a third smaller.
GOFLAGS=-mod=mod nice go build -C "$work/source" -buildvcs=false -trimpath -ldflags '-s -w' -o "$PWD/$work/new/$path/$program" .
echo "$module" >"$work/new/version"
chmod 0755 "$work/new"
rm -rf "$own"
mv "$work/new" "$own"
say "built $own ($version)"
