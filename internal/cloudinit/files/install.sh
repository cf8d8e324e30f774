#!/bin/sh
# Installs the programs of /etc/heddle/install.env, each once its SHA-256 sum is right.
# What is there already and right is left alone, so it may run at each boot. It tries
# until it has them: what needs them waits.
set -eu
umask 022
folder=/usr/local/bin
. /etc/heddle/install.env

exec 9>/run/heddle-install.lock
flock 9

say() { echo "heddle-install: $*" >&2; }

is_right() { echo "$2  $1" | sha256sum --check --status 2>/dev/null; }

fetch() { # URL SUM FILE
  if ! curl --fail --silent --show-error --location --proto '=http,https' --connect-timeout 10 \
    --speed-limit 1000 --speed-time 30 --output "$3" -- "$1"; then
    say "could not fetch $1"
    return 1
  fi
  if ! is_right "$3" "$2"; then
    say "what $1 gives has the SHA-256 sum $(sha256sum "$3" | cut -d ' ' -f 1), not $2: it is not installed; put the right file there, or the right sum into /etc/heddle/install.env"
    return 1
  fi
}

settings() { # NAME; read anew, so that what is mended there is taken up
  . /etc/heddle/install.env
  case $1 in
    heddle) url=$HEDDLE_URL sum=$HEDDLE_SHA256 ;;
    envoy) url=$ENVOY_URL sum=$ENVOY_SHA256 ;;
  esac
}

install_program() { # NAME
  settings "$1"
  if [ -f "$folder/$1" ] && is_right "$folder/$1" "$sum"; then
    chmod 0755 "$folder/$1"
    say "$folder/$1 is there"
    return
  fi
  rm -f "$folder/.$1".?????? # of a run that was cut off
  new=$(mktemp "$folder/.$1.XXXXXX")
  pause=1
  until fetch "$url" "$sum" "$new"; do
    say "trying again in $pause s"
    sleep "$pause"
    pause=$((pause * 2 > 60 ? 60 : pause * 2))
    settings "$1"
  done
  chmod 0755 "$new"
  sync "$new"
  mv -f "$new" "$folder/$1" # in one step: a program that runs goes on with the old file
  say "installed $folder/$1"
}

getent passwd heddle >/dev/null ||
  useradd --system --user-group --no-create-home --home-dir /var/lib/heddle --shell /usr/sbin/nologin heddle
[ ! -f /etc/heddle/join-token ] || chown heddle:heddle /etc/heddle/join-token

install_program heddle
[ -z "${ENVOY_URL:-}" ] || install_program envoy
