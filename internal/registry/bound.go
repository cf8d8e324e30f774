package registry

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strconv"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What a join token is bound to, and what a keeper's token vouches for.

const (
	mostVouches   = 100
	mostAddresses = 16
)

// bindingFaults reports what is wrong with what a token is bound to or vouches for.
func (t Token) bindingFaults(f *mesh.Faults) {
	switch {
	case len(t.Vouches) > 0 && t.Kind != KeeperToken:
		f.Add("vouches", "is of tokens of kind keeper")
	case len(t.Vouches) > mostVouches:
		f.Add("vouches", "has %d entries; at most %d are allowed", len(t.Vouches), mostVouches)
	}
	switch {
	case t.VouchGateways && t.Kind != KeeperToken:
		f.Add("vouchGateways", "is of tokens of kind keeper")
	case t.VouchGateways && !t.Keeper.OfClusters():
		f.Add("vouchGateways", "is of tokens for whole clusters, such as kubernetes/prod, and not of %s", quoted(string(t.Keeper)))
	}
	for i, one := range t.Vouches {
		of, err := mesh.ParseIdentity(one)
		if err != nil || of.Kind != mesh.GatewayIdentity && of.Kind != mesh.AuthzIdentity {
			f.Add("vouches["+strconv.Itoa(i)+"]", "%s is not gateway/NAME or %s: services are vouched for by keeping them", quoted(one), mesh.Identity{Kind: mesh.AuthzIdentity})
		}
	}
	if t.Bound == nil {
		return
	}
	if t.Kind != JoinToken {
		f.Add("bound", "is of join tokens")
	}
	if t.Bound.GatewayOf != "" && t.Gateway == "" {
		f.Add("bound.gatewayOf", "is of join tokens of gateways")
	}
	t.Bound.faults(f)
}

func (b *Bound) faults(f *mesh.Faults) {
	if b.Instance != "" {
		for _, fault := range (&mesh.Instance{ID: b.Instance, Service: "x", Address: "127.0.0.1", Port: 1}).Validate() {
			f.Add("bound.instance", "%s", fault.Message)
		}
	}
	if len(b.Addresses) > mostAddresses {
		f.Add("bound.addresses", "has %d entries; at most %d are allowed", len(b.Addresses), mostAddresses)
	}
	for i, one := range b.Addresses {
		if _, err := netip.ParseAddr(one); err != nil {
			f.Add("bound.addresses["+strconv.Itoa(i)+"]", "%s is not an IP address", quoted(one))
		}
	}
	if _, _, _, ok := b.GatewayOf.Parts(); !ok && b.GatewayOf != "" {
		f.Add("bound.gatewayOf", "%s is not CLUSTER/NAMESPACE/NAME: two DNS labels, and the name of a Gateway", quoted(string(b.GatewayOf)))
	}
	if sum, err := hex.DecodeString(b.Key); b.Key != "" && (err != nil || len(sum) != 32) {
		f.Add("bound.key", "is not a SHA-256 sum in hexadecimal")
	}
}

// admits says why a workload with this key, at this host:port, is not the one that a
// join token is for.
func (b *Bound) admits(key, from string) error {
	if b == nil {
		return nil
	}
	if b.Key != "" && b.Key != key {
		return mesh.Denied("the join token is for another workload's key than the one of this certificate request")
	}
	if len(b.Addresses) == 0 {
		return nil
	}
	host, _, err := net.SplitHostPort(from)
	if err != nil {
		host = from
	}
	at, err := netip.ParseAddr(host)
	for _, one := range b.Addresses {
		if want, wrong := netip.ParseAddr(one); err == nil && wrong == nil && want.Unmap() == at.Unmap().WithZone("") {
			return nil
		}
	}
	return mesh.Denied("the join token is for the workload at %s, and this comes from %s: where something between them translates addresses, run the operator with --no-bind-address", b.Addresses[0], quoted(host))
}
