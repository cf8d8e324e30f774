package machines_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/terraformtest"
)

// azureMesh is what the machines are made with.
type azureMesh struct {
	t             *testing.T
	cloud         *azureCloud
	authority     string
	controlPlanes []*computer
	joins         map[string]any // inputs of the gateways that the control planes' module gives
	admin         string         // the file of the admin token there
	gateway       *computer
	client        *http.Client         // of the gateway
	shop          map[string]*computer // by their addresses
}

const (
	gatewayAddress = "10.77.0.20"
	shopHost       = "shop.example.com"
	network        = "/subscriptions/" + subscription + "/resourceGroups/heddle-mesh/providers/Microsoft.Network/virtualNetworks/heddle"
	key            = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtub3duIHRvIGFsbCwgYW5kIG9mIG5vYm9keQ== somebody"
	names          = "10.77.0.1 " + vaultHost + " " + releasesHost + " management.azure.com\n" +
		"10.77.0.10 control-plane.heddle.internal\n10.77.0.11 control-plane.heddle.internal\n10.77.0.12 control-plane.heddle.internal"
)

func newAzureMesh(t *testing.T, controlPlanes int) *azureMesh {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "etcd.tar.gz")
	pack(t, kubetest.Program(t, "etcd"), "etcd-v3.7.3-linux-amd64/etcd", archive)
	m := &azureMesh{t: t, shop: map[string]*computer{}}
	m.cloud, m.authority = newCloud(t, map[string]string{"/heddle": heddle.Path(t), "/envoy": envoytest.Path(t), "/etcd.tar.gz": archive})
	m.joins = m.renderControlPlanes(controlPlanes)
	return m
}

func (m *azureMesh) release(name string) map[string]string {
	return map[string]string{"url": "https://" + releasesHost + "/" + name, "sha256": sum(m.t, m.cloud.files.programs["/"+name])}
}

// inputs are those that the modules of all machines have.
func inputs(more map[string]any) map[string]any {
	all := map[string]any{"resource_group_name": "heddle-mesh", "location": "westeurope", "subnet_id": network + "/subnets/x", "admin_ssh_public_key": key, "zones": []string{}}
	maps.Copy(all, more)
	return all
}

// renderControlPlanes has Terraform render what they get, and builds them. What comes back
// is what the example hands over from this module to the gateways'.
func (m *azureMesh) renderControlPlanes(count int) map[string]any {
	rendered := terraformtest.Render(m.t, "control-plane", inputs(map[string]any{
		"subnet_prefix": "10.77.0.0/24", "endpoints_subnet_id": network + "/subnets/y", "virtual_network_id": network, "key_vault_name": "mesh",
		"control_plane_count": count, "releases": map[string]any{"heddle": m.release("heddle"), "etcd": m.release("etcd.tar.gz")},
	}), map[string]any{
		"azurerm_key_vault":              map[string]string{"id": "/subscriptions/" + subscription + "/resourceGroups/heddle-mesh/providers/Microsoft.KeyVault/vaults/mesh", "vault_uri": "https://" + vaultHost + "/"},
		"azurerm_user_assigned_identity": map[string]string{"client_id": controlPlaneID},
		"azurerm_client_config":          map[string]string{"subscription_id": subscription},
	}, "connection", "join_secrets", "private_addresses")
	var addresses []string
	var secrets map[string]any
	m.decode(rendered.Outputs["private_addresses"], &addresses)
	m.decode(rendered.Outputs["join_secrets"], &secrets)
	for number, address := range addresses {
		m.controlPlanes = append(m.controlPlanes, m.build(fmt.Sprintf("heddle-%d", number), address, rendered.CustomData[fmt.Sprint(number)]))
	}
	return map[string]any{"control_plane": rendered.Outputs["connection"], "join_secret": secrets["edge"]}
}

// renderOthers does the same for the gateway and the machines of the shop.
func (m *azureMesh) renderOthers() {
	values := inputs(m.joins)
	values["certificate"] = "edge-tls"
	values["releases"] = map[string]any{"heddle": m.release("heddle"), "envoy": m.release("envoy")}
	gateway := terraformtest.Render(m.t, "envoy-lb", values, map[string]any{"azurerm_user_assigned_identity": map[string]string{"client_id": gatewayID}})
	m.gateway = m.build("edge000000", gatewayAddress, gateway.CustomData[""])

	script, err := os.ReadFile("../../deploy/terraform/azure/examples/mesh/shop.sh")
	if err != nil {
		m.t.Fatal(err)
	}
	backend := terraformtest.Render(m.t, "backend-vms", inputs(map[string]any{"service": "shop", "app_script": string(script)}), nil)
	for number, address := range []string{"10.77.0.30", "10.77.0.31"} {
		m.shop[address] = m.build(fmt.Sprintf("shop00000%d", number), address, backend.CustomData[""])
	}
}

func (m *azureMesh) decode(text json.RawMessage, into any) {
	m.t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		m.t.Fatal(err)
	}
}

// secretive is what no custom data may hold.
var secretive = regexp.MustCompile(`hd[lj]_[0-9a-zA-Z]+_|PRIVATE KEY-|[Pp]assword[:=]|AccountKey|SharedAccessSignature|eyJ0eXAi`)

// build builds a machine, once what it is to do is seen to hold no secret and to be no
// longer than Azure takes it: 64 KiB, in base64.
func (m *azureMesh) build(name, address, config string) *computer {
	m.t.Helper()
	if found := secretive.FindString(config); found != "" {
		m.t.Errorf("the custom data of %s holds a secret: %s", name, found)
	}
	if size := (len(config) + 2) / 3 * 4; size > 64<<10 {
		m.t.Errorf("the custom data of %s has %d bytes in base64: Azure takes 65536", name, size)
	}
	c := build(m.t, name, address, m.authority, names)
	c.custom = config
	return c
}

// pack makes a .tar.gz with one program.
func pack(t *testing.T, program, name, archive string) {
	t.Helper()
	in, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	zipped, err := gzip.NewWriterLevel(out, gzip.HuffmanOnly)
	if err != nil {
		t.Fatal(err)
	}
	layout := tar.NewWriter(zipped)
	if err := layout.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: info.Size()}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(layout, in); err != nil {
		t.Fatal(err)
	}
	for _, one := range []io.Closer{layout, zipped, out} {
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
