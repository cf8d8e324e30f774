package gossip

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// state is what one host knows of all: its own record, and what the others say of
// theirs. It is not safe for concurrent use.
type state struct {
	self    string
	records map[string]*record // by host; self is always there
	total   int                // what the others' records cost
	runs    map[string]uint32  // of members, as memberlist tells: records of others are not believed; 0: any
}

func newState(self string, epoch uint64) *state {
	return &state{self: self, runs: map[string]uint32{}, records: map[string]*record{self: {position: position{epoch, 1}, floor: 1}}}
}

func (s *state) own() *record { return s.records[s.self] }

// Refused are entries that no host may have, by key: why.
type Refused map[string]error

// Error implements error.
func (r Refused) Error() string {
	texts := make([]string, 0, len(r))
	for _, key := range slices.Sorted(maps.Keys(r)) {
		texts = append(texts, fmt.Sprintf("entry %.60q: %v", key, r[key]))
	}
	return strings.Join(texts, "; ")
}

// publish sets this host's entries, but for those that are refused; it says whether that
// changed anything. Of more than a host may have those stay that others were told already.
func (s *state) publish(entries map[string][]byte) (bool, error) {
	keys := slices.SortedFunc(maps.Keys(entries), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.isNew(a), s.isNew(b)), cmp.Compare(a, b))
	})
	taken, refused, bytes := make(map[string][]byte, len(entries)), Refused{}, 0
	for _, key := range keys {
		value := entries[key]
		needs := len(key) + len(value)
		switch {
		case key == "" || len(key) > MaxKeyBytes:
			refused[key] = fmt.Errorf("its key has %d bytes, and may have 1 to %d", len(key), MaxKeyBytes)
		case len(value) > MaxBytes:
			refused[key] = fmt.Errorf("it has %d bytes, and may have %d", len(value), MaxBytes)
		case len(taken) == MaxEntries:
			refused[key] = fmt.Errorf("it is one of %d entries: a host may have %d", len(entries), MaxEntries)
		case bytes+needs > MaxRecordBytes:
			refused[key] = fmt.Errorf("with it the host would tell %d bytes, and may tell %d", bytes+needs, MaxRecordBytes)
		default:
			taken[key] = value
			bytes += needs
		}
	}
	changed := s.own().set(taken)
	if len(refused) > 0 {
		return changed, refused
	}
	return changed, nil
}

// isNew is 1 for an entry that nobody was told of yet.
func (s *state) isNew(key string) int {
	if entry, there := s.own().entries[key]; there && !entry.Removed {
		return 0
	}
	return 1
}

// merge takes what somebody said. What it says of this host itself that this host
// does not know is answered by a later epoch: that is then the outcome, applied.
func (s *state) merge(d Delta) outcome {
	if d.Host == s.self {
		return s.refute(position{d.Epoch, d.To})
	}
	if !s.believes(d.Host, d.Epoch) {
		return known
	}
	r, there := s.records[d.Host]
	if !there || !s.believes(d.Host, r.Epoch) {
		r = &record{}
	}
	before := s.records[d.Host].cost()
	came := r.merge(d, s.roomOf(d.Host))
	if came == applied {
		s.records[d.Host] = r
		s.total += r.cost() - before
	}
	return came
}

// why says which bound a delta exceeds that was refused.
func (s *state) why(d Delta) error {
	r, there := s.records[d.Host]
	if !there || !s.believes(d.Host, r.Epoch) {
		r = &record{}
	}
	return r.exceeds(d, s.roomOf(d.Host))
}

// refute answers a claim to know more of this host than it does: it is of an earlier
// run, or of another host with the same name.
func (s *state) refute(claimed position) outcome {
	own := s.own()
	if claimed.compare(own.position) <= 0 || claimed.Epoch > lastEpoch-run { // there is none later that the others take
		return known
	}
	own.restart(later(claimed.Epoch, own.Epoch))
	return applied
}

// outbid says whether a claim leaves this host no later epoch that the others would take.
func (s *state) outbid(claimed position) bool {
	return claimed.Epoch > lastEpoch-run && uint32(claimed.Epoch%run) == uint32(s.own().Epoch%run)
}

// believes says whether an epoch is of the run that memberlist tells of, if it does.
func (s *state) believes(host string, epoch uint64) bool {
	of := s.runs[host]
	return of == 0 || uint32(epoch%run) == of
}

// at says how far a host's record is known; the zero position if not at all, or of an
// earlier run only.
func (s *state) at(host string) position {
	if r, there := s.records[host]; there && s.believes(host, r.Epoch) {
		return r.position
	}
	return position{}
}

// news gives what changed of a host after a version.
func (s *state) news(host string, from uint64) (Delta, bool) {
	r, there := s.records[host]
	if !there {
		return Delta{}, false
	}
	return r.since(host, from), true
}

// Known is one line of a digest: how far a host's record is known to somebody.
type Known struct {
	Host    string `cbor:"1,keyasint"`
	Epoch   uint64 `cbor:"2,keyasint,omitempty"`
	Version uint64 `cbor:"3,keyasint,omitempty"`
}

// digest tells how far the records of some hosts are known, sorted by host.
func (s *state) digest(of func(host string) bool) []Known {
	var list []Known
	for host, r := range s.records {
		if of(host) {
			list = append(list, Known{Host: host, Epoch: r.Epoch, Version: r.Version})
		}
	}
	slices.SortFunc(list, func(a, b Known) int { return cmp.Compare(a.Host, b.Host) })
	return list
}

// answer gives what somebody lacks who asked so.
func (s *state) answer(asked []Known) []Delta {
	var deltas []Delta
	for _, one := range asked {
		r, there := s.records[one.Host]
		if !there || r.compare(position{one.Epoch, one.Version}) <= 0 {
			continue
		}
		from := one.Version
		if one.Epoch != r.Epoch {
			from = 0
		}
		deltas = append(deltas, r.since(one.Host, from))
	}
	return deltas
}

// have gives of what somebody asks for what there is, each host once: else a message that
// names one over and over would be answered as often.
func (s *state) have(asked []Known) []Known {
	var list []Known
	seen := map[string]struct{}{}
	for _, one := range asked {
		_, twice := seen[one.Host]
		if _, there := s.records[one.Host]; there && !twice {
			seen[one.Host] = struct{}{}
			list = append(list, one)
		}
	}
	return list
}

// drop forgets a host that is no member any more.
func (s *state) drop(host string) {
	if host != s.self {
		s.total -= s.records[host].cost()
		delete(s.records, host)
		delete(s.runs, host)
	}
}
