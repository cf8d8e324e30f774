#!/usr/bin/env bash
# Holds the Terraform modules to the real provider: init, validate and `terraform test`
# for each, and for the example. With -update it also writes test/terraform/schema.json,
# which the tests of every day hold them to. Needs terraform on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
terraform version >/dev/null || { echo "test-terraform: install Terraform 1.11 or newer first" >&2; exit 1; }
hack/azurerm.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
  echo 'provider_installation {'
  for folder in "$HOME/.terraform.d/plugins" "$top/.tools/azurerm"; do
    [ ! -d "$folder" ] || echo "  filesystem_mirror { path = \"$folder\" }"
  done
  echo '}'
} >"$work/terraform.rc"
export TF_CLI_CONFIG_FILE=$work/terraform.rc CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1
cp -r deploy/terraform "$work/terraform" # what Terraform writes beside the modules stays out of the tree
find "$work/terraform" \( -name .terraform -o -name '.terraform.lock.hcl' \) -prune -exec rm -rf {} +

terraform fmt -check -recursive -diff deploy/terraform
for folder in "$work"/terraform/azure/modules/* "$work"/terraform/azure/examples/*; do
  echo "== ${folder#"$work/"}"
  terraform -chdir="$folder" init -input=false -no-color >"$work/log" || { cat "$work/log" >&2; exit 1; }
  terraform -chdir="$folder" validate -no-color
  terraform -chdir="$folder" test -no-color
done

if [ "${1:-}" = -update ]; then
  folder=$work/terraform/azure/modules/network
  terraform -chdir="$folder" providers schema -json >"$work/schema.json"
  go test ./test/terraform -count=1 -run '^TestTheModulesFitTheProvider$' -args -schema "$work/schema.json"
fi
