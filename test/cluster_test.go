package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/childtest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// etcdMember is the environment variable that makes this test program an etcd:
// its value is a memberConfig.
const etcdMember = "HEDDLE_TEST_ETCD_MEMBER"

// memberConfig is one etcd of a cluster of three.
type memberConfig struct {
	Name, Address, Dir, Cluster string
}

// runEtcdMember is an etcd process until SIGTERM.
func runEtcdMember(encoded string) int {
	var m memberConfig
	if err := json.Unmarshal([]byte(encoded), &m); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	at := func(port string) []url.URL { return []url.URL{{Scheme: "http", Host: m.Address + ":" + port}} }
	ec := embed.NewConfig()
	ec.Name, ec.Dir, ec.InitialCluster = m.Name, m.Dir, m.Cluster
	ec.ListenClientUrls, ec.AdvertiseClientUrls = at("2379"), at("2379")
	ec.ListenPeerUrls, ec.AdvertisePeerUrls = at("2380"), at("2380")
	ec.TickMs, ec.ElectionMs = 50, 500
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	etcd, err := embed.StartEtcd(ec)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	<-ctx.Done()
	etcd.Close()
	return 0
}

// member is an etcd process in a network namespace of its own.
type member struct {
	memberConfig
	namespace string
	process   *childtest.Child
}

// cluster is three of them, and the hub namespace that this test runs in.
type cluster struct {
	t       *testing.T
	members []*member
}

// namespaces names the hub's namespace, and those of the members.
func namespaces() (hub string, members []string) {
	tag := os.Getenv(hubVariable)
	for i := range 3 {
		members = append(members, fmt.Sprintf("hdl-%s-m%d", tag, i))
	}
	return "hdl-" + tag + "-hub", members
}

func address(i int) string { return fmt.Sprintf("10.77.0.%d", i+1) }

// link is the hub's end of a member's cable.
func link(i int) string { return fmt.Sprintf("m%d", i) }

// buildNamespaces makes a hub with a bridge and three members on it.
func buildNamespaces() error {
	hub, members := namespaces()
	steps := []string{
		"netns add " + hub,
		"-n " + hub + " link set lo up",
		"-n " + hub + " link add br0 type bridge",
		"-n " + hub + " addr add 10.77.0.254/24 dev br0",
		"-n " + hub + " link set br0 up",
	}
	for i, one := range members {
		steps = append(steps,
			"netns add "+one,
			fmt.Sprintf("-n %s link add %s type veth peer name eth0 netns %s", hub, link(i), one),
			fmt.Sprintf("-n %s link set %s master br0 up", hub, link(i)),
			fmt.Sprintf("-n %s link set lo up", one),
			fmt.Sprintf("-n %s addr add %s/24 dev eth0", one, address(i)),
			fmt.Sprintf("-n %s link set eth0 up", one),
		)
	}
	for _, step := range steps {
		if err := ip(step); err != nil {
			return err
		}
	}
	return nil
}

// dropNamespaces takes away what is there of them.
func dropNamespaces() {
	hub, members := namespaces()
	for _, one := range append(members, hub) {
		_ = ip("netns del " + one)
	}
}

func ip(arguments string) error {
	output, err := exec.Command("ip", strings.Fields(arguments)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", arguments, err, output)
	}
	return nil
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	_, names := namespaces()
	c := &cluster{t: t}
	var initial []string
	for i := range names {
		initial = append(initial, fmt.Sprintf("m%d=http://%s:2380", i, address(i)))
	}
	for i, name := range names {
		c.members = append(c.members, &member{namespace: name, memberConfig: memberConfig{
			Name: fmt.Sprintf("m%d", i), Address: address(i), Dir: filepath.Join(t.TempDir(), "etcd"), Cluster: strings.Join(initial, ","),
		}})
	}
	for _, one := range c.members {
		c.start(one)
	}
	t.Cleanup(func() {
		for _, one := range c.members {
			c.kill(one)
		}
	})
	heddletest.Eventually(t, "the etcd cluster to have a leader", func() error { _, err := c.leader(); return err })
	return c
}

func (c *cluster) start(m *member) {
	c.t.Helper()
	config, err := json.Marshal(m.memberConfig)
	if err != nil {
		c.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	command := exec.Command("nsenter", "--net=/run/netns/"+m.namespace, self)
	command.Env = append(os.Environ(), etcdMember+"="+string(config))
	command.Stderr = os.Stderr
	if m.process, err = childtest.Start(command); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) kill(m *member) {
	_ = m.process.Signal(syscall.SIGCONT)
	m.process.Kill()
}

func (c *cluster) signal(s syscall.Signal, members ...*member) {
	for _, one := range members {
		if err := one.process.Signal(s); err != nil {
			c.t.Error(err)
		}
	}
}

func (c *cluster) endpoints() string {
	var all []string
	for _, one := range c.members {
		all = append(all, "http://"+one.Address+":2379")
	}
	return strings.Join(all, ",")
}

// client opens a client of etcd's own on one member.
func (c *cluster) client(m *member) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{"http://" + m.Address + ":2379"}, DialTimeout: time.Second, Logger: zap.NewNop()})
}

// leader finds the member that leads.
func (c *cluster) leader() (*member, error) {
	for _, one := range c.members {
		client, err := c.client(one)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		status, err := client.Status(ctx, "http://"+one.Address+":2379")
		cancel()
		_ = client.Close()
		if err == nil && status.Leader == status.Header.GetMemberId() && status.Leader != 0 {
			return one, nil
		}
	}
	return nil, errors.New("no member leads")
}

// compact makes etcd forget all history.
func (c *cluster) compact() error {
	client, err := c.client(c.members[0])
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	now, err := client.Get(ctx, "/")
	if err != nil {
		return err
	}
	_, err = client.Compact(ctx, now.Header.Revision)
	return err
}
