package kubetest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
)

// cniFolder is where Debian has the plugins that give pods their network.
const cniFolder = "/usr/lib/cni"

// nodeScript is the first process of a node, in a PID and a mount namespace of
// its own: what it leaves anywhere ends with it. The kubelet's settings of the
// kernel, which hold for the whole machine, are files of the node's own.
const nodeScript = `set -euo pipefail
folder=$1 kubelet=$2
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755,size=6g tmpfs /var
mount --make-rshared /
mkdir -p /var/lib /var/log /var/tmp /run/sysctl
ln -s /run /var/run
while read -r setting value; do
  echo "$value" >"/run/sysctl/${setting//\//.}"
  mount --bind "/run/sysctl/${setting//\//.}" "/proc/sys/$setting"
done <<'SETTINGS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SETTINGS
containerd --config "$folder/containerd.toml" >"$folder/containerd.log" 2>&1 &
for _ in {1..600}; do ctr version >/dev/null 2>&1 && break; sleep 0.05; done
ctr --namespace k8s.io images import "$folder/images.tar"
rm "$folder/images.tar"
"$kubelet" --config "$folder/kubelet.json" --kubeconfig "$folder/kubeconfig" --root-dir /var/lib/kubelet --cert-dir /var/lib/kubelet/pki \
  --hostname-override "$3" --node-ip "$4" >"$folder/kubelet.log" 2>&1 &
wait -n
echo "containerd or the kubelet ended" >&2
exit 1
`

const containerdConfig = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "/run/containerd/containerd.sock"
[debug]
  level = "warn"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`

// start writes what the node's programs read, and runs them until the node is ready.
func (n *Node) start(kubelet string, user *rest.Config) error {
	var err error
	if n.folder, err = os.MkdirTemp("", "kubetest"); err != nil {
		return err
	}
	n.cgroup = filepath.Base(n.folder)
	port, err := freePort()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(n.folder, "cni"), 0o755); err != nil {
		return err
	}
	files := map[string]string{
		"containerd.toml":        fmt.Sprintf(containerdConfig, n.config.Pause, cniFolder, filepath.Join(n.folder, "cni")),
		"kubelet.json":           encode(n.kubeletConfig(port)),
		"cni/10-bridge.conflist": encode(n.network()),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(n.folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := writeKubeconfig(filepath.Join(n.folder, "kubeconfig"), user); err != nil {
		return err
	}
	if err := writeImages(filepath.Join(n.folder, "images.tar"), n.config.Images); err != nil {
		return err
	}
	n.main, err = startApart(n.folder, "node", "bash", "-c", nodeScript, "node", n.folder, kubelet, n.config.Name, n.config.Gateway)
	if err != nil {
		return err
	}
	return n.main.await("become ready", n.ready)
}

// kubeletConfig is made for one machine of any kind: it leaves cgroups of a higher
// level alone, and takes no disk or memory for full.
func (n *Node) kubeletConfig(port int) any {
	type object = map[string]any
	return object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address": "127.0.0.1", "port": port, "healthzPort": 0,
		"authentication":           object{"anonymous": object{"enabled": false}, "x509": object{"clientCAFile": n.cluster.file("ca.pem")}},
		"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
		"clusterDNS":               []string{n.config.DNS}, "clusterDomain": "cluster.local",
		"failCgroupV1": false, "cgroupDriver": "cgroupfs", "cgroupsPerQOS": false, "cgroupRoot": "/" + n.cgroup, "enforceNodeAllocatable": []string{},
		"failSwapOn": false, "protectKernelDefaults": true, "makeIPTablesUtilChains": false,
		"evictionHard":                object{"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%", "nodefs.inodesFree": "0%"},
		"imageGCHighThresholdPercent": 100,
	}
}

// network is the configuration of the plugins that give a pod its network.
func (n *Node) network() any {
	type object = map[string]any
	return object{"cniVersion": "1.0.0", "name": "pods", "plugins": []any{object{
		"type": "bridge", "bridge": n.config.Bridge, "isGateway": true,
		"ipam": object{
			"type": "host-local", "dataDir": "/run/addresses", "routes": []any{object{"dst": "0.0.0.0/0"}},
			"ranges": [][]any{{object{"subnet": n.config.Subnet, "rangeStart": n.config.First, "rangeEnd": n.config.Last, "gateway": n.config.Gateway}}},
		},
	}}}
}

func encode(value any) string {
	var b strings.Builder
	if err := json.NewEncoder(&b).Encode(value); err != nil {
		panic(err) // plain values cannot fail
	}
	return b.String()
}
