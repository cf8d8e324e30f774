package proxy

import (
	"net/netip"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestAdvertisedAddress(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"the one asked for":          {Config{AdvertiseAddress: "10.0.0.7", Bootstrap: BootstrapConfig{Proxy: mesh.Proxy{InboundAddress: "127.0.0.1"}}}, "10.0.0.7"},
		"a specific inbound address": {Config{Bootstrap: BootstrapConfig{Proxy: mesh.Proxy{InboundAddress: "127.0.0.1"}}}, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := advertised(t.Context(), c.config); err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestThisMachinesAddressIsNotLoopback(t *testing.T) {
	got, err := advertised(t.Context(), Config{Bootstrap: BootstrapConfig{Proxy: mesh.Proxy{InboundAddress: "0.0.0.0"}}})
	if err != nil {
		if mesh.KindOf(err) != mesh.KindInvalid || firstAddress().IsValid() {
			t.Fatal(err)
		}
		return // this machine has loopback alone
	}
	if ip, err := netip.ParseAddr(got); err != nil || ip.IsLoopback() || ip.IsUnspecified() {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAddressTowardsTheControlPlane(t *testing.T) {
	if got := addressTowards(t.Context(), "127.0.0.1:18000"); got.String() != "127.0.0.1" {
		t.Errorf("towards loopback: %s", got)
	}
	if got := addressTowards(t.Context(), "no such host.invalid:1"); got.IsValid() {
		t.Errorf("towards a host that is not there: %s", got)
	}
}
