package agent

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/gossip"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// found is what this host runs. It is guarded by Agent.mu.
type found struct {
	sources map[string][]hosts.Service // by source
	bridge  []byte                     // what this host says of itself as one; nil: it is none
	drained map[string]struct{}        // entries that are to finish what they have
	said    map[string]hosts.Service   // by entry, as the other hosts were told last
	refused map[string]error           // by entry: why the other hosts cannot be told
}

// claiming is what this host knows of claims. It is guarded by Agent.mu.
type claiming struct {
	begun    bool                        // new ones may be drawn: what others claim is known
	recalled map[mesh.ServiceName]uint64 // of an earlier run
	until    time.Time                   // when what has not begun by then has lost its claim
}

// What is waited for: others that are there, and services that begin again.
const (
	comparingTime = 5 * time.Second
	recalledFor   = 10 * time.Minute
)

func entry(source, id string) string { return source + "/" + id }

// has takes what a source found, and tells the other hosts. What is drained stays so
// until it has ended.
func (a *Agent) has(source string, list []hosts.Service) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found.take(source, list)
	a.publish()
}

// take notes what a source found.
func (f *found) take(source string, list []hosts.Service) {
	f.sources[source] = list
	maps.DeleteFunc(f.drained, func(name string, _ struct{}) bool {
		id, of := strings.CutPrefix(name, source+"/")
		return of && !slices.ContainsFunc(list, func(s hosts.Service) bool { return s.ID == id })
	})
}

// bridges takes what this host says of itself as a bridge, and what it found in the mesh,
// and tells the other hosts of both at once.
func (a *Agent) bridges(said hosts.Bridge, list []hosts.Service) {
	body, err := said.Encode()
	if err != nil {
		a.cfg.Logger.Error("what this host says as a bridge cannot be told", "error", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found.bridge = body
	a.found.take(hosts.FromMesh, list)
	a.publish()
}

// publish tells the other hosts what this one runs. What cannot be told is left out, and a
// problem. a.mu is held.
func (a *Agent) publish() {
	now := time.Now().Truncate(time.Second)
	claims := a.claims()
	entries, said, refused := map[string][]byte{}, map[string]hosts.Service{}, map[string]error{}
	var problems []hosts.Problem
	refuse := func(name, service string, err error) {
		refused[name] = err
		problems = append(problems, hosts.Refused(a.cfg.Gossip.Name, cmp.Or(service, name), err))
	}
	for _, source := range slices.Sorted(maps.Keys(a.found.sources)) {
		for _, s := range a.found.sources[source] {
			name := entry(source, s.ID)
			s.Source, s.Updated, s.Claim = source, now, claims[hosts.MeshName(s.Name)]
			if _, drained := a.found.drained[name]; drained {
				s.Health = hosts.Draining
			}
			if before, there := a.found.said[name]; there && before.Same(s) {
				s.Updated = before.Updated
			}
			body, err := encode(s)
			if err != nil {
				refuse(name, s.Name, err)
				continue
			}
			entries[name], said[name] = body, s
		}
	}
	if a.found.bridge != nil {
		entries[hosts.BridgeEntry] = a.found.bridge
	}
	var left gossip.Refused
	errors.As(a.gossip.Publish(entries), &left)
	for _, name := range slices.Sorted(maps.Keys(left)) {
		refuse(name, said[name].Name, left[name])
		delete(said, name)
	}
	a.wrong(ofFound, problems)
	a.found.said, a.found.refused = said, refused
}

// encode gives the bytes of what the other hosts would take.
func encode(s hosts.Service) ([]byte, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	body, err := s.Encode()
	if err == nil && len(body) > gossip.MaxBytes {
		err = fmt.Errorf("what is said of it has %d bytes; at most %d are allowed", len(body), gossip.MaxBytes)
	}
	return body, err
}

// claims gives this host's claim of each service's ports: as before, or in an earlier run,
// for what it runs already; for what is new after all that are known, once they are. a.mu is held.
func (a *Agent) claims() map[mesh.ServiceName]uint64 {
	claims := a.claimed()
	next := uint64(hosts.Unclaimed)
	if a.claiming.begun {
		next = a.nextClaim(claims)
	}
	for _, list := range a.found.sources {
		for _, s := range list {
			name := hosts.MeshName(s.Name)
			if _, has := claims[name]; !has {
				claims[name] = next
			}
		}
	}
	return claims
}

// claimed gives the claims that this host has. a.mu is held.
func (a *Agent) claimed() map[mesh.ServiceName]uint64 {
	if time.Now().After(a.claiming.until) {
		a.claiming.recalled = nil
	}
	claims := map[mesh.ServiceName]uint64{}
	maps.Copy(claims, a.claiming.recalled)
	for _, s := range a.found.said {
		if name := hosts.MeshName(s.Name); s.Claim < hosts.Unclaimed {
			claims[name] = s.Claim
			delete(a.claiming.recalled, name)
		}
	}
	return claims
}

// mostAhead is how far a claim may be ahead of all lower ones to be believed: hosts count
// up by one, so far in no fleet's life, and one absurd claim would leave no room for
// others after it.
const mostAhead = 1 << 40

// nextClaim is one more than all that are known, and than this host's own.
func (a *Agent) nextClaim(own map[mesh.ServiceName]uint64) uint64 {
	all := slices.Collect(maps.Values(own))
	for _, host := range a.State().Hosts {
		for _, s := range host.Services {
			if s.Claim < hosts.Unclaimed {
				all = append(all, s.Claim)
			}
		}
	}
	last := uint64(0)
	for _, claim := range slices.Sorted(slices.Values(all)) {
		if claim-last > mostAhead {
			break
		}
		last = claim
	}
	return min(last, hosts.Unclaimed-2) + 1
}

// claim has new claims drawn from now on, and those that waited.
func (a *Agent) claim() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.claiming.begun {
		a.claiming.begun = true
		close(a.known)
		a.publish()
	}
}

// Local gives what this host runs as its sources found it, with what is told to nobody.
func (a *Agent) Local() []hosts.Service {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []hosts.Service
	for _, source := range slices.Sorted(maps.Keys(a.found.sources)) {
		list = append(list, a.found.sources[source]...)
	}
	return list
}

// Drain has the copies with an ID on this host get no new requests, until they end or
// drain is false. It gives them as they are then; none has that ID: [mesh.KindNotFound].
func (a *Agent) Drain(id string, drain bool) ([]hosts.Service, error) {
	list, err := a.drain(id, drain)
	if err == nil {
		a.remembers.now() // also an agent that is killed in the next moment is to know it
	}
	return list, err
}

func (a *Agent) drain(id string, drain bool) ([]hosts.Service, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for source, list := range a.found.sources {
		for _, s := range list {
			if s.ID == id {
				names = append(names, entry(source, id))
			}
		}
	}
	if len(names) == 0 {
		return nil, &mesh.Error{Kind: mesh.KindNotFound, Message: fmt.Sprintf("this host runs nothing with the ID %q", id)}
	}
	before := maps.Clone(a.found.drained)
	for _, name := range names {
		if drain {
			a.found.drained[name] = struct{}{}
		} else {
			delete(a.found.drained, name)
		}
	}
	a.publish()
	for _, name := range names {
		if why, refused := a.found.refused[name]; refused {
			a.found.drained = before
			a.publish()
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("the other hosts cannot be told of %.60q, and so go on as before: %v", name, why)}
		}
	}
	var list []hosts.Service
	for _, name := range slices.Sorted(slices.Values(names)) {
		list = append(list, a.found.said[name])
	}
	return list, nil
}
