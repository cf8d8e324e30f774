package machines_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/terraformtest"
)

// The mesh of deploy/terraform/azure: what Terraform renders as custom data is carried out
// by machines that systemd runs, three of them control planes, and the cloud is one that
// answers as Azure does.
func TestMachinesOfTheTerraformModules(t *testing.T) {
	if testing.Short() {
		t.Skip("boots six machines with programs of some hundred MB")
	}
	terraformtest.Path(t) // they may skip
	kubetest.Program(t, "etcd")
	if hub.Inside(t, 10*time.Minute) {
		m := newAzureMesh(t, 3)
		m.renderOthers()
		m.play()
	}
}

// One control plane has its own etcd, and all that it knows on its data disk.
func TestOneControlPlaneOfTheTerraformModule(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a machine with programs of some hundred MB")
	}
	terraformtest.Path(t) // they may skip
	kubetest.Program(t, "etcd")
	if !hub.Inside(t, 10*time.Minute) {
		return
	}
	m := newAzureMesh(t, 1)
	defer m.tell()
	m.startControlPlanes("server", "heddle-disk.service", "heddle-install.service", "heddle-server.service", "heddle-join-tokens.timer")
	only := m.controlPlanes[0]
	m.service("kept", only)
	before := m.cloud.secret("join-gateway-edge").writes
	only.off()
	only.on()
	only.healthy("heddle-disk.service", "heddle-server.service", "heddle-join-tokens.timer")
	heddletest.Eventually(t, "what was declared before the machine lost its power", func() error {
		out, err := only.command(nil, "heddle", "get", "services").CombinedOutput()
		if err == nil && !strings.Contains(string(out), "kept") {
			err = fmt.Errorf("it is not there: %s", out)
		}
		return err
	})
	heddletest.Eventually(t, "a new join token", func() error {
		if writes := m.cloud.secret("join-gateway-edge").writes; writes <= before {
			return fmt.Errorf("%d writes: %s", writes, only.journal("heddle-join-tokens.service"))
		}
		return nil
	})
	if got := m.cloud.files.count("/heddle"); got != 1 {
		t.Errorf("heddle was fetched %d times", got)
	}
	for path, want := range map[string]string{"/var/lib/heddle/server": "700 heddle", "/var/lib/heddle/server/admin-token": "600 heddle"} {
		if got := strings.TrimSpace(only.run("stat", "--format=%a %U", path)); got != want {
			t.Errorf("%s is %s, not %s", path, got, want)
		}
	}
}

// tell says what the control planes know, of a test that failed.
func (m *azureMesh) tell() {
	if !m.t.Failed() {
		return
	}
	for _, c := range m.controlPlanes {
		for _, command := range []string{"status", "discovery list", "get instances"} {
			out, _ := c.command(nil, "heddle", strings.Fields(command)...).CombinedOutput()
			m.t.Logf("%s: heddle %s\n%s", c.name, command, out)
		}
		m.t.Log(c.journal("heddle-*"))
	}
	if m.gateway != nil {
		m.t.Log(m.gateway.journal("heddle-*"))
	}
}

func (m *azureMesh) play() {
	defer m.tell()
	m.startControlPlanes("authority", "heddle-disk.service", "heddle-install.service", "heddle-authority.service", "heddle-etcd.service", "heddle-server.service", "heddle-join-tokens.timer")
	if shared := m.cloud.secret("control-plane-authority"); shared.writes != 1 {
		m.t.Errorf("the authority was made %d times", shared.writes)
	}
	m.rights()
	m.certificate()
	m.gateway.on()
	m.gateway.first(m.gateway.custom)
	m.gateway.healthy("heddle-gateway.service")
	m.startShop("10.77.0.30")
	m.declare()
	m.answers("shop000000")

	m.ports()
	load := m.load()
	m.controlPlanes[0].off() // it has made what they share, and may lead
	m.startShop("10.77.0.31")
	m.answers("shop000001")
	m.t.Logf("with one control plane lost: %s", load())

	m.controlPlanes[0].on()
	m.controlPlanes[0].healthy("heddle-disk.service", "heddle-authority.service", "heddle-etcd.service", "heddle-server.service", "heddle-join-tokens.timer")
	m.controlPlanes[1].off() // so that the first has to count again
	m.service("after", m.controlPlanes[0])
	m.controlPlanes[1].on()

	m.shop["10.77.0.31"].off()
	m.shop["10.77.0.30"].reboot()
	m.answers("shop000000")
	m.gateway.reboot()
	m.answers("shop000000")
	if len(m.cloud.wrong) > 0 {
		m.t.Errorf("asked of Azure without a right to: %s", m.cloud.wrong)
	}
}

// startControlPlanes starts all at once, whose admin token is where it is said; their disks are attached later, as
// Terraform does it.
func (m *azureMesh) startControlPlanes(admin string, units ...string) {
	m.admin = "/var/lib/heddle/" + admin + "/admin-token"
	for _, c := range m.controlPlanes {
		c.on()
		c.first(c.custom)
		// Its default is half a minute, which Azure's limits want and this test does not.
		c.run("sed", "-i", `s/^\( *\)"name": "azure"$/&\n\1"interval": "1s"\n\1"longest": "1s"/`, "/etc/heddle/discovery.yaml")
	}
	for _, c := range m.controlPlanes {
		if out, err := c.command(nil, "systemctl", "is-active", "heddle-server.service").CombinedOutput(); err == nil {
			m.t.Errorf("%s has a server without its disk: %s", c.name, out)
		}
		c.disk("900M")
	}
	for _, c := range m.controlPlanes {
		c.healthy(units...)
	}
	heddletest.Eventually(m.t, "the join token in the Key Vault", func() error {
		token := m.cloud.secret("join-gateway-edge")
		if left := time.Until(token.expires); !strings.HasPrefix(token.value, "hdj_") || left < time.Hour || left > 2*time.Hour {
			return fmt.Errorf("there is none, or it lives for %s: %s", left, m.controlPlanes[0].journal("heddle-join-tokens.service"))
		}
		return nil
	})
}

// rights holds what is on the control planes' disks to who may read it.
func (m *azureMesh) rights() {
	for _, c := range m.controlPlanes {
		for path, want := range map[string]string{
			"/var/lib/heddle/server": "700 heddle", "/var/lib/heddle/etcd": "700 heddle", "/var/lib/heddle/authority": "700 heddle",
			"/var/lib/heddle/authority/ca-key.pem": "600 heddle", "/var/lib/heddle/authority/etcd-ca-key.pem": "600 heddle",
			"/var/lib/heddle/authority/etcd-key.pem": "600 heddle", "/var/lib/heddle/authority/admin-token": "600 heddle",
			"/etc/heddle/azure.env": "644 root", "/etc/heddle/etcd.env": "644 root", "/etc/heddle/discovery.yaml": "644 root",
			"/usr/local/lib/heddle/vault": "755 root", "/usr/local/lib/heddle/authority": "755 root", "/usr/local/bin/etcd": "755 root", "/usr/local/bin/heddle": "755 root",
		} {
			if got := strings.TrimSpace(c.run("stat", "--format=%a %U", path)); got != want {
				m.t.Errorf("%s on %s is %s, not %s", path, c.name, got, want)
			}
		}
		if options := c.run("nsenter", "--target", strings.TrimSpace(c.run("systemctl", "show", "--property=MainPID", "--value", "heddle-server.service")), "--mount", "findmnt", "--noheadings", "--output=OPTIONS", "/var/lib/heddle"); !strings.Contains(options, "noexec") || !strings.Contains(options, "nosuid") {
			m.t.Errorf("the data disk of %s is mounted with %s", c.name, options)
		}
		if said := secretive.FindString(c.run("journalctl", "--no-pager", "--quiet")); said != "" {
			m.t.Errorf("the journal of %s holds a secret: %s", c.name, said)
		}
	}
}

// declare declares the example's service, as its page says.
func (m *azureMesh) declare() {
	text, err := os.ReadFile("../../deploy/terraform/azure/examples/mesh/shop.yaml")
	if err != nil {
		m.t.Fatal(err)
	}
	m.apply(m.controlPlanes[0], string(text))
}

func (m *azureMesh) apply(on *computer, text string) {
	m.t.Helper()
	write(m.t, on.path("/run/mesh.yaml"), text)
	heddletest.Eventually(m.t, "a declaration on "+on.name, func() error {
		out, err := on.command(nil, "heddle", "apply", "-f", "/run/mesh.yaml", "--token-file", m.admin).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// service declares one more service on a control plane.
func (m *azureMesh) service(name string, on *computer) {
	m.t.Helper()
	m.apply(on, "kind: Service\nname: "+name+"\nowner: team\nprotocol: http\nport: 8080\ndependencies: []\n")
}

// startShop starts a machine of the scale set, which then is in Azure's lists.
func (m *azureMesh) startShop(address string) {
	m.t.Helper()
	m.shop[address].on()
	m.shop[address].first(m.shop[address].custom)
	m.shop[address].healthy("shop.service")
	set := azuretest.ScaleSet{Subscription: subscription, Group: "heddle-mesh", Name: "shop", Tags: map[string]string{"heddle-service": "shop", "heddle-port": "8080", "heddle-weight": "1"}}
	for at, c := range m.shop {
		if c.init != nil {
			set.Instances = append(set.Instances, azuretest.VM{Name: strings.TrimLeft(strings.TrimPrefix(c.name, "shop"), "0") + "0", NICs: []azuretest.NIC{azuretest.Address(at, "")}})
		}
	}
	m.cloud.PutScaleSet(set)
}
