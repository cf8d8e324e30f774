package machines_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	yaml "go.yaml.in/yaml/v3"

	"github.com/heddle-mesh/heddle/internal/childtest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// machine stands for a virtual machine: a network, a host name and mounts of its own. What
// it writes to /etc, /usr/local, /var/lib and /run is in memory, and gone with it.
type machine struct {
	t      testing.TB
	name   string
	init   *childtest.Child // its namespaces live as long as this
	config cloudConfig
	log    *bytes.Buffer
}

// cloudConfig is what of a cloud-config is played here.
type cloudConfig struct {
	WriteFiles []struct{ Path, Permissions, Encoding, Content string } `yaml:"write_files"`
	RunCmd     [][]string                                              `yaml:"runcmd"`
}

// boots mounts what a machine has of its own over what this one has.
const boots = `set -e
mount --make-rprivate /
mkdir -p "$1/run" && mount -t tmpfs tmpfs "$1"
for folder in etc usr/local var/lib; do
  mkdir -p "$1/$folder/upper" "$1/$folder/work"
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$1/$folder/upper,workdir=$1/$folder/work" "/$folder"
done
mount -t tmpfs tmpfs /run
mount -t proc proc /proc
hostname "$2"
echo "10.77.0.1 mesh.vault.azure.net" >> /etc/hosts
cat "$3" >> /etc/ssl/certs/ca-certificates.crt
rm -rf /usr/local/bin/heddle /usr/local/bin/envoy /etc/heddle /var/lib/heddle
echo up
exec sleep infinity`

// boot starts a machine with an address on the bridge of the hub.
func boot(t testing.TB, name, address, authority string) *machine {
	t.Helper()
	m := &machine{t: t, name: name, log: &bytes.Buffer{}}
	command := exec.Command("unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", boots, "sh", t.TempDir(), name, authority)
	said, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if m.init, err = childtest.Start(command); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.init.Kill)
	line := make([]byte, 3)
	if _, err := io.ReadFull(said, line); err != nil {
		t.Skipf("this machine makes no namespaces with overlays: %v", err)
	}
	link := "vm" + address[strings.LastIndex(address, ".")+1:]
	host(t, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", m.pid())
	host(t, "ip", "link", "set", link, "master", "br0", "up")
	for _, line := range []string{"link set lo up", "addr add " + address + "/24 dev eth0", "link set eth0 up", "route add 169.254.169.254 dev eth0"} {
		m.run("ip", strings.Fields(line)...)
	}
	return m
}

// pid is that of the first process in its namespaces: the child of unshare.
func (m *machine) pid() string {
	m.t.Helper()
	unshare := m.init.Pid
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", unshare, unshare))
	if err != nil || len(data) == 0 {
		m.t.Fatalf("%s has no process: %v", m.name, err)
	}
	return strings.TrimSpace(string(data))
}

// host runs a command beside the machines.
func host(t testing.TB, program string, arguments ...string) {
	t.Helper()
	if out, err := exec.Command(program, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, arguments, err, out)
	}
}

// command runs inside, as root, with nothing in its environment but this.
func (m *machine) command(environment []string, program string, arguments ...string) *exec.Cmd {
	all := []string{"--target", m.pid(), "--net", "--uts", "--mount", "--pid", "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	all = append(append(all, environment...), program)
	return exec.Command("nsenter", append(all, arguments...)...)
}

// run runs a command inside and gives what it prints.
func (m *machine) run(program string, arguments ...string) string {
	m.t.Helper()
	out, err := m.command(nil, program, arguments...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("on %s: %s %q: %v\n%s", m.name, program, arguments, err, out)
	}
	return string(out)
}

// path is where a file of the machine is for this process.
func (m *machine) path(file string) string { return "/proc/" + m.pid() + "/root" + file }

// read gives a file of the machine.
func (m *machine) read(file string) string {
	m.t.Helper()
	data, err := os.ReadFile(m.path(file))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(data)
}

// writeFiles does what cloud-init does of this name.
func (m *machine) writeFiles(text string) {
	m.t.Helper()
	m.config = cloudConfig{}
	if err := yaml.Unmarshal([]byte(text), &m.config); err != nil {
		m.t.Fatal(err)
	}
	for _, file := range m.config.WriteFiles {
		content := []byte(file.Content)
		if file.Encoding == "b64" {
			var err error
			if content, err = base64.StdEncoding.DecodeString(file.Content); err != nil {
				m.t.Fatal(err)
			}
		}
		at := m.path(file.Path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			m.t.Fatal(err)
		}
		if err := os.WriteFile(at, content, 0o600); err != nil {
			m.t.Fatal(err)
		}
		m.run("chmod", file.Permissions, file.Path)
	}
}

// start does what runcmd does: it runs its commands, and in the place of systemctl starts
// the units that are enabled there. It gives the last one, which stays.
func (m *machine) start() *service {
	m.t.Helper()
	var last *service
	for _, command := range m.config.RunCmd {
		if command[0] != "systemctl" {
			m.run(command[0], command[1:]...)
			continue
		}
		for _, word := range command[1:] {
			if !strings.HasSuffix(word, ".service") {
				continue
			}
			last = m.service(word)
			last.start()
			if last.get("Type") == "oneshot" {
				last.wait()
			}
		}
	}
	return last
}

// await waits for a child and its end.
func await(t testing.TB, what string, child *childtest.Child) {
	t.Helper()
	select {
	case <-child.Exited():
	case <-time.After(heddletest.Patience):
		t.Fatalf("%s does not end", what)
	}
	var exit *exec.ExitError
	if err := child.Err(); errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).ExitStatus() != 0 {
		t.Fatalf("%s: %v", what, err)
	}
}
