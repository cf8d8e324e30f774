#!/usr/bin/env bash
# Makes sure of what has to come from the system: `hack/system.sh NAME...`, names
# of Debian packages. As root on Debian it installs what is missing; elsewhere it
# says what to install.
set -uo pipefail

present() {
  case $1 in
    containernetworking-plugins) [ -x /usr/lib/cni/bridge ] ;;
    docker.io) command -v dockerd >/dev/null ;;
    e2fsprogs) command -v mkfs.ext4 >/dev/null ;;
    gcc) command -v gcc >/dev/null || command -v cc >/dev/null ;;
    ca-certificates) [ -e /etc/ssl/certs/ca-certificates.crt ] ;;
    iproute2) command -v ip >/dev/null ;;
    libc6-dev) [ -e /usr/include/stdlib.h ] ;;
    nftables) command -v nft >/dev/null ;;
    prometheus) command -v promtool >/dev/null ;;
    procps) command -v pkill >/dev/null ;;
    python3-pip) python3 -m pip --version >/dev/null 2>&1 ;;
    systemd) [ -x /lib/systemd/systemd ] ;;
    util-linux) command -v setpriv >/dev/null && command -v unshare >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=()
for name in "$@"; do present "$name" || missing+=("$name"); done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "system: missing ${missing[*]}: install them first (Debian: sudo apt-get install ${missing[*]})" >&2
  exit 1
fi
echo "system: installing ${missing[*]}"
apt-get update -qq >/dev/null &&
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
  { echo "system: could not install ${missing[*]} with apt-get" >&2; exit 1; }
