# The first process of an engine, in a PID and a mount namespace of its own: what it
# leaves anywhere ends with it. It is told what to do a line each, and answers each with a
# line; it ends with who tells it.
set -euo pipefail
folder=$1
shift
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/etc /run/work # the engine writes a key into /etc
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work overlay /etc
ip link set lo up
engine=
while read -r verb word; do
  case $verb in
    start)
      dockerd "$@" >>"$folder/log" 2>&1 </dev/null &
      engine=$!
      ;;
    signal) kill -s "$word" "$engine" 2>/dev/null || true ;;
    wait) wait "$engine" 2>/dev/null || true ;;
  esac
  echo "$verb"
done
