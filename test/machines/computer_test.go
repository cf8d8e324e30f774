package machines_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/childtest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/logtest"
)

// computer is a machine that systemd itself runs, as the first process of namespaces: it
// starts units in their order and with all of their sandboxes, runs timers, and is switched
// off and on. Its root is a file system of its own, in memory, that outlives its systemd.
type computer struct {
	*machine
	folder string
	custom string           // its custom data
	holder *childtest.Child // its network and its files live as long as this
	group  string           // its control group
	console
}

// console is what systemd and the kernel of a machine say.
type console struct{ text *logtest.Buffer }

// assembles makes a machine's root, of which nothing leads to that of this one: its /usr and
// /etc are this one's, and what is written there stays in memory.
const assembles = `set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
cd "$1"
mkdir -p usr etc var tmp run root home proc sys dev old over/etc/u over/etc/w over/usr/u over/usr/w
chmod 1777 tmp
for folder in usr etc; do
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=over/$folder/u,workdir=over/$folder/w" "$folder"
done
for link in bin sbin lib lib32 lib64 libx32; do [ ! -L "/$link" ] || cp -a "/$link" "$link"; done
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
for device in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do mknod -m 666 "dev/${device% *}" c 1 "${device#* }"; done
mkdir -p dev/pts dev/shm dev/disk/azure/scsi1
ln -s /proc/self/fd dev/fd
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
hostname "$2"
echo "$2" > etc/hostname
cat "$3" >> etc/ssl/certs/ca-certificates.crt
printf '%s\n' "$4" >> etc/hosts
rm -rf etc/systemd/system etc/init.d etc/rc?.d etc/heddle usr/local/bin/heddle usr/local/bin/envoy usr/local/bin/etcd
mkdir -p etc/systemd/system
ln -s /lib/systemd/system/multi-user.target etc/systemd/system/default.target
for unit in systemd-logind.service systemd-modules-load.service systemd-resolved.service systemd-timesyncd.service getty.target; do
  ln -s /dev/null "etc/systemd/system/$unit"
done
: > etc/fstab
tr -d - < /proc/sys/kernel/random/uuid > etc/machine-id
mount -t proc proc proc
pivot_root . old
umount -l /old
umount /proc
rmdir /old
[ -z "$(ls -A /tmp)" ]
echo up
exec sleep infinity`

// starts has systemd take over. What it mounts is gone with it.
const starts = `set -e
[ ! -e /old ] && [ -z "$(ls /proc)" ] # this is no root but the one that was made for it
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t tmpfs -o mode=755 tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec env -i container=heddle-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --show-status=no --log-target=journal`

// groups is where control groups of the new kind are.
func groups(t *testing.T) string {
	t.Helper()
	for _, folder := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(folder + "/cgroup.procs"); err == nil {
			return folder
		}
	}
	t.Skip("this machine has no control groups of version 2, which systemd needs")
	return ""
}

// build gives a computer with an address on the bridge of the hub, switched off.
func build(t *testing.T, name, address, authority, hosts string) *computer {
	t.Helper()
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		t.Skipf("systemd is not installed: %v", err)
	}
	c := &computer{machine: &machine{t: t, name: name}, folder: t.TempDir(), console: console{&logtest.Buffer{}}}
	c.group = filepath.Join(groups(t), fmt.Sprintf("heddle-test-%d-%s", os.Getpid(), name))
	if err := os.Mkdir(c.group, 0o755); err != nil {
		t.Skipf("this machine makes no control groups: %v", err)
	}
	t.Cleanup(func() {
		c.ended()
		_ = exec.Command("find", c.group, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";").Run()
	})
	command := exec.Command("unshare", "--net", "--uts", "--mount", "sh", "-c", assembles, "sh", c.folder, name, authority, hosts)
	said, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = c.text
	if c.holder, err = childtest.Start(command); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.holder.Kill)
	if _, err := io.ReadFull(said, make([]byte, 3)); err != nil {
		t.Skipf("this machine makes no namespaces with overlays: %v: %s", err, c.text.String())
	}
	link := "vm" + address[strings.LastIndex(address, ".")+1:]
	host(t, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(c.holder.Pid))
	host(t, "ip", "link", "set", link, "master", "br0", "up")
	for _, line := range []string{"link set lo up", "addr add " + address + "/24 dev eth0", "link set eth0 up", "route add 169.254.169.254 dev eth0"} {
		host(t, "nsenter", append([]string{fmt.Sprintf("--net=/proc/%d/ns/net", c.holder.Pid), "ip"}, strings.Fields(line)...)...)
	}
	return c
}

// on switches it on, and waits until systemd has started what it is to.
func (c *computer) on() {
	c.t.Helper()
	inside := []string{"nsenter", "--target", fmt.Sprint(c.holder.Pid), "--net", "--uts", "--mount", "unshare", "--mount", "--pid", "--ipc", "--cgroup", "--fork", "--kill-child", "sh", "-c", starts}
	command := exec.Command("sh", append([]string{"-c", `echo $$ > "$0"/cgroup.procs && exec "$@"`, c.group}, inside...)...)
	command.Stdout, command.Stderr = c.text, c.text
	child, err := childtest.Start(command)
	if err != nil {
		c.t.Fatal(err)
	}
	c.init = child
	c.t.Cleanup(child.Kill)
	heddletest.Eventually(c.t, "systemd on "+c.name, func() error {
		select {
		case <-child.Exited():
			c.t.Skipf("systemd does not run here: %s", c.text.String())
		default:
		}
		if children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", child.Pid, child.Pid)); err != nil || len(children) == 0 {
			return fmt.Errorf("no first process: %w", err)
		}
		out, err := c.command(nil, "systemctl", "is-system-running").CombinedOutput()
		if state := strings.TrimSpace(string(out)); state != "running" && state != "starting" && state != "degraded" {
			return fmt.Errorf("%q: %w", state, err)
		}
		return nil
	})
}

// off takes its power away: nothing on it hears of it before.
func (c *computer) off() {
	c.init.Kill()
	c.ended()
}

// ended waits until nothing runs on it any more: the kernel ends what its first process leaves.
func (c *computer) ended() {
	c.t.Helper()
	heddletest.Eventually(c.t, "the end of what ran on "+c.name, func() error {
		events, err := os.ReadFile(c.group + "/cgroup.events")
		if err == nil && !strings.Contains(string(events), "populated 0") {
			return errors.New("something runs")
		}
		return err
	})
}

// reboot has it end what runs in order, and start again.
func (c *computer) reboot() {
	c.t.Helper()
	_ = c.command(nil, "systemctl", "reboot").Run() // its end may be faster than the answer
	select {
	case <-c.init.Exited(): // by the signal that stands for a restart
	case <-time.After(heddletest.Patience):
		c.t.Fatalf("%s does not shut down", c.name)
	}
	c.ended()
	c.on()
}

// first does what cloud-init does at the first boot.
func (c *computer) first(config string) {
	c.t.Helper()
	c.writeFiles(config)
	for _, command := range c.config.RunCmd {
		c.run(command[0], command[1:]...)
	}
}

// healthy waits until units are active, and sees that none has failed.
func (c *computer) healthy(units ...string) {
	c.t.Helper()
	for _, unit := range units {
		heddletest.Eventually(c.t, unit+" on "+c.name, func() error {
			out, err := c.command(nil, "systemctl", "is-active", unit).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s: %s", strings.TrimSpace(string(out)), c.journal(unit))
			}
			return nil
		})
	}
	if failed := c.run("systemctl", "list-units", "--failed", "--plain", "--no-legend"); failed != "" {
		c.t.Errorf("on %s failed: %s\n%s", c.name, failed, c.journal("*"))
	}
}

// journal gives what a unit has said since the machine was switched on.
func (c *computer) journal(unit string) string {
	out, err := c.command(nil, "journalctl", "--boot", "--no-pager", "--quiet", "--output=cat", "--lines=40", "--unit="+unit).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return string(out)
}

// disk attaches a data disk as LUN 0, as Azure does some time after the first start.
func (c *computer) disk(size string) {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "disk")
	host(c.t, "truncate", "--size", size, file)
	out, err := exec.Command("losetup", "--find", "--show", file).CombinedOutput()
	if err != nil {
		c.t.Skipf("this machine makes no loop devices: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	c.t.Cleanup(func() { _ = exec.Command("losetup", "--detach", device).Run() })
	number := strings.Fields(strings.ReplaceAll(c.stat(device), ":", " "))
	at := fmt.Sprintf("--mount=/proc/%d/ns/mnt", c.holder.Pid)
	host(c.t, "nsenter", at, "mknod", device, "b", number[0], number[1])
	host(c.t, "nsenter", at, "ln", "-s", device, "/dev/disk/azure/scsi1/lun0")
}

// stat gives a device's numbers.
func (c *computer) stat(device string) string {
	c.t.Helper()
	out, err := exec.Command("stat", "--format=%Hr:%Lr", device).Output()
	if err != nil {
		c.t.Fatal(err)
	}
	return string(out)
}
