package hosts

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Bridge is what a host says of itself that joins its fleet to a mesh with a server. It is
// told with what the host runs, in one version: no host hears that a bridge knows the mesh
// as it is before it hears what that is.
type Bridge struct {
	// Follows says that it knows the mesh as it is now, and that the server takes its
	// writes but for those of Refused.
	Follows bool `cbor:"1,keyasint,omitempty"`
	// Revision of the mesh orders what bridges know that do not follow it any more.
	Revision int64 `cbor:"2,keyasint,omitempty"`
	// Imports and Exports are the services that it is for; none: all.
	Imports []mesh.ServiceName `cbor:"3,keyasint,omitempty"`
	Exports []mesh.ServiceName `cbor:"4,keyasint,omitempty"`
	// Refused are the services whose instances the server does not let it register.
	Refused    []mesh.ServiceName `cbor:"5,keyasint,omitempty"`
	RefusedAll bool               `cbor:"6,keyasint,omitempty"` // more than can be named
	Away       string             `cbor:"7,keyasint,omitempty"` // why it does not follow, "": it has only begun; or, if it does, what of its share the mesh has not
	Denied     string             `cbor:"8,keyasint,omitempty"` // why it is refused
}

// BridgeEntry is the name of its entry in what a host says; those of services have a slash.
const BridgeEntry = "bridge"

// Bounds of what is told of a bridge: its entry is to fit in one of gossip's.
const (
	MostChosen  = 80 // of Imports, and of Exports
	MostRefused = 50
)

// Encode gives the bytes that hosts tell each other.
func (b Bridge) Encode() ([]byte, error) {
	if len(b.Refused) > MostRefused {
		b.Refused, b.RefusedAll = nil, true
	}
	b.Away, b.Denied = ShortReason(b.Away), ShortReason(b.Denied)
	return encoding.Marshal(b)
}

// DecodeBridge reads them.
func DecodeBridge(body []byte) (Bridge, error) {
	var b Bridge
	if err := decoding.Unmarshal(body, &b); err != nil {
		return Bridge{}, fmt.Errorf("what it says as a bridge is not understood: %s", ShortReason(err.Error()))
	}
	if len(b.Imports) > MostChosen || len(b.Exports) > MostChosen || len(b.Refused) > MostRefused {
		return Bridge{}, fmt.Errorf("what it says as a bridge names more services than the %d that a bridge may choose", MostChosen)
	}
	for _, name := range slices.Concat(b.Imports, b.Exports, b.Refused) {
		if name == "" || MeshName(string(name)) != name {
			return Bridge{}, errors.New("what it says as a bridge names a service that cannot be")
		}
	}
	b.Away, b.Denied = ShortReason(b.Away), ShortReason(b.Denied)
	return b, nil
}

// Registers says whether a bridge can have a service's copies registered now.
func (b Bridge) Registers(name mesh.ServiceName) bool {
	return b.Follows && b.For(name) && !b.RefusedAll && !slices.Contains(b.Refused, name)
}

// For says whether a bridge is there to register a service's copies, if it can.
func (b Bridge) For(name mesh.ServiceName) bool { return Chosen(b.Exports, name) }

// Chosen says whether a service is one of those; none: all are.
func Chosen(of []mesh.ServiceName, name mesh.ServiceName) bool {
	return len(of) == 0 || slices.Contains(of, name)
}

// same says whether the same is to be made of what two bridges say. The revision counts of
// those alone that do not follow the mesh.
func (b Bridge) same(other Bridge) bool {
	if b.Follows && other.Follows {
		b.Revision = other.Revision
	}
	return b.Follows == other.Follows && b.Revision == other.Revision && slices.Equal(b.Imports, other.Imports)
}

// bridge is one as the fleet knows it.
type bridge struct {
	Bridge

	status Status
}

// heard is what is known of a service of the mesh.
type heard struct {
	revision int64
	copies   map[key]copyOf
}

// SetBridge takes what a host that is alive says of itself as a bridge; nil: it is none. It
// is called before Set. A host of which this run has said nothing yet is what it was.
func (f *Fleet) SetBridge(name string, b *Bridge) {
	before, was := f.bridges[name]
	if b == nil {
		delete(f.bridges, name)
	} else {
		f.bridges[name] = bridge{*b, Alive}
	}
	if was != (b != nil) || was && (before.status != Alive || !before.same(*b)) {
		f.hearAgain()
	}
}

// lose takes that a host is not there, which may be a bridge. One that has left may be back
// soon: until it is forgotten too, what it said stays while nobody knows better.
func (f *Fleet) lose(name string, status Status) {
	before, was := f.bridges[name]
	switch {
	case !was || status == Alive || status == before.status:
		return
	case before.status == Left && status == Forgotten, before.status == Forgotten && status == Left:
		delete(f.bridges, name)
	default:
		before.status = status
		f.bridges[name] = before
	}
	f.hearAgain()
}

// hearAgain has all that is known of the mesh judged anew.
func (f *Fleet) hearAgain() {
	for service := range f.heard {
		f.touched[service] = struct{}{}
	}
}

// heeded takes out what is not to be believed of a service: of what bridges say of the mesh
// counts what those say that follow it. When none does, what was known last stays: an
// outage of the server takes nothing away, and brings nothing back.
func (f *Fleet) heeded(name mesh.ServiceName, said map[key]copyOf) map[key]copyOf {
	speak, revision, any := f.speakers(name)
	now := heard{revision, map[key]copyOf{}}
	copies := map[key]copyOf{}
	for k, c := range said {
		if c.service.Source != FromMesh {
			copies[k] = c
		} else if _, heeded := speak[c.host]; heeded {
			now.copies[k] = c
		}
	}
	if before, there := f.heard[name]; there && any && len(speak) == 0 {
		now = before
	}
	if len(now.copies) > 0 || f.fromMesh(said) {
		f.heard[name] = now
	} else {
		delete(f.heard, name)
	}
	maps.Copy(copies, now.copies)
	return copies
}

func (f *Fleet) fromMesh(said map[key]copyOf) bool {
	for _, c := range said {
		if c.service.Source == FromMesh {
			return true
		}
	}
	return false
}

// speakers gives the bridges whose word of a service counts: those that follow the mesh, or
// else those that knew it latest, and not if something later was known already. any says
// whether there is a bridge for it at all.
func (f *Fleet) speakers(name mesh.ServiceName) (speak map[string]struct{}, revision int64, any bool) {
	speak = map[string]struct{}{}
	follows := false
	latest := f.heard[name].revision
	for host, b := range f.bridges {
		if !Chosen(b.Imports, name) {
			continue
		}
		any = true
		now := b.Follows && b.status == Alive
		switch {
		case b.status == Left || b.status == Forgotten, follows && !now:
			continue
		case now && !follows:
			follows, latest = true, b.Revision
			clear(speak)
		case now:
			latest = max(latest, b.Revision)
		case b.Revision < latest:
			continue
		case b.Revision > latest:
			latest = b.Revision
			clear(speak)
		}
		speak[host] = struct{}{}
	}
	return speak, latest, any
}

// there says whether a copy is to be called: its host is alive; of what runs in the mesh a
// bridge that is not says nothing, until it is forgotten.
func (f *Fleet) there(c copyOf) bool {
	if c.service.Source == FromMesh {
		return f.bridges[c.host].status != Forgotten
	}
	return f.hosts[c.host].status == Alive
}

// bridging lists what is wrong with bridges.
func (f *Fleet) bridging() []Problem {
	var list []Problem
	for _, name := range slices.Sorted(maps.Keys(f.bridges)) {
		b := f.bridges[name]
		if b.status != Alive {
			continue
		}
		if !b.Follows && b.Away != "" {
			list = append(list, Problem{Host: name, Bridge: true, Message: fmt.Sprintf("this bridge does not reach the mesh's server as it should, and %s: look at its --server and token, and at the network between. It says: %s", f.instead(func(other Bridge) bool { return other.Follows }, name, "others do its part", "there is no other, so that hosts go on with what they knew of the mesh last"), b.Away)})
		}
		if b.Follows && b.Away != "" {
			list = append(list, Problem{Host: name, Bridge: true, Message: "this bridge reaches the mesh's server, and the mesh has not all that it is to register: look at the server's log and at this agent's, which say why. Missing: " + b.Away})
		}
		for _, service := range b.Refused {
			can := func(other Bridge) bool { return other.Registers(service) }
			list = append(list, Problem{Host: name, Bridge: true, Service: string(service), Message: "the server does not let this bridge register it, and " + f.instead(can, name, "another bridge does", "no other can: its copies drop out of the mesh") + ": give the bridge a token that may (--token-file), or leave the service out (--bridge-export). It says: " + b.Denied})
		}
		if b.RefusedAll {
			can := func(other Bridge) bool { return other.Follows && !other.RefusedAll }
			list = append(list, Problem{Host: name, Bridge: true, Message: "the server does not let this bridge register services, and " + f.instead(can, name, "other bridges do", "no other can: what hosts run drops out of the mesh") + ": give it a token that may (--token-file), or choose its services (--bridge-export). It says: " + b.Denied})
		}
	}
	return list
}

// instead says whether another bridge that is alive can do what one cannot.
func (f *Fleet) instead(can func(Bridge) bool, not, yes, no string) string {
	for name, other := range f.bridges {
		if name != not && other.status == Alive && can(other.Bridge) {
			return yes
		}
	}
	return no
}
