#!/bin/sh
# Fetches secrets of an Azure Key Vault with the managed identity of this machine, into
# $RUNTIME_DIRECTORY: key-vault NAME=FILE ... A secret that is not there yet, or that the
# identity may not read yet, is waited for. A join token is waited for only by who has
# not joined: it is not needed again until the identity has expired.
set -eu
umask 077

say() { echo "heddle key-vault: $*" >&2; }

# field NAME prints a string of the JSON object on standard input. Python is there: cloud-init needs it.
field() { python3 -c 'import json, sys; sys.stdout.write(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

ask() { curl --fail --silent --show-error --connect-timeout 5 --max-time 20 "$@"; }

vault=${HEDDLE_KEY_VAULT_URL%/}
resource=https://${vault#https://*.} # of https://NAME.vault.azure.net what follows the name, in each of Azure's clouds
identity="http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=$resource"
[ -z "${HEDDLE_IDENTITY_CLIENT_ID:-}" ] || identity="$identity&client_id=$HEDDLE_IDENTITY_CLIENT_ID"

fetch() { # NAME FILE
  answer=$(ask --noproxy '*' --header 'Metadata: true' "$identity") || { say "no token of the managed identity: has the machine one?"; return 1; }
  token=$(printf %s "$answer" | field access_token) || return 1
  # By standard input: other users of the machine could see it among the arguments.
  answer=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
    ask --proto '=https' --config - "$vault/secrets/$1?api-version=7.4") ||
    { say "no secret $1 in $vault: is it there, and may the identity read it (Key Vault Secrets User)?"; return 1; }
  printf %s "$answer" | field value >"$RUNTIME_DIRECTORY/.$2" || return 1
  mv -f "$RUNTIME_DIRECTORY/.$2" "$RUNTIME_DIRECTORY/$2"
}

for pair; do
  name=${pair%%=*} file=${pair#*=}
  pause=1
  until fetch "$name" "$file"; do
    if [ "$file" = join-token ] && [ -e "${HEDDLE_IDENTITY_DIR:-/nowhere}/current/cert.pem" ]; then
      say "going on without $name: this machine has joined already"
      break
    fi
    say "trying again in $pause s"
    sleep "$pause"
    pause=$((pause * 2 > 30 ? 30 : pause * 2))
  done
done
