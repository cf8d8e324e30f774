package gossip

import (
	"math"
	"strings"
	"testing"
)

func TestMessagesThatMakeNoSense(t *testing.T) {
	whole := func(changes ...Change) Delta {
		return Delta{Host: "a", Epoch: run, To: 9, Changes: changes}
	}
	for name, m := range map[string]message{
		"no sender":           {},
		"long sender":         {From: strings.Repeat("a", maxHostBytes+1)},
		"no host":             {From: "b", Deltas: []Delta{{Epoch: run, To: 1}}},
		"no epoch":            {From: "b", Deltas: []Delta{{Host: "a", To: 1}}},
		"no version":          {From: "b", Deltas: []Delta{{Host: "a", Epoch: run}}},
		"backwards":           {From: "b", Deltas: []Delta{{Host: "a", Epoch: run, From: 5, To: 4}}},
		"notice with changes": {From: "b", Deltas: []Delta{{Host: "a", Epoch: run, From: 5, To: 5, Changes: []Change{{Key: "k", Version: 5}}}}},
		"twice":               {From: "b", Deltas: []Delta{whole(Change{Key: "k", Version: 1}, Change{Key: "k", Version: 2})}},
		"later than to":       {From: "b", Deltas: []Delta{whole(Change{Key: "k", Version: 10})}},
		"version 0":           {From: "b", Deltas: []Delta{whole(Change{Key: "k"})}},
		"removed in whole":    {From: "b", Deltas: []Delta{whole(Change{Key: "k", Version: 1, Removed: true})}},
		"no key":              {From: "b", Deltas: []Delta{whole(Change{Version: 1})}},
		"large value":         {From: "b", Deltas: []Delta{whole(Change{Key: "k", Version: 1, Value: make([]byte, MaxBytes+1)})}},
		"asks for nobody":     {From: "b", Ask: []Known{{}}},
		"knows nobody":        {From: "b", Digest: []Known{{Epoch: run}}},
		"no later epoch":      {From: "b", Deltas: []Delta{{Host: "a", Epoch: math.MaxUint64, To: 1}}},
		"knows no later one":  {From: "b", Digest: []Known{{Host: "a", Epoch: math.MaxUint64, Version: 1}}},
	} {
		if _, err := decode(encode(m)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := decode(encode(message{From: "b", Deltas: []Delta{whole(Change{Key: "k", Version: 9})}})); err != nil {
		t.Error(err)
	}
}

// Hosts of a later version may say more.
func TestFieldsOfLaterVersionsAreNotRead(t *testing.T) {
	type later struct {
		From string `cbor:"1,keyasint"`
		New  string `cbor:"99,keyasint"`
	}
	m, err := decode(encode(later{From: "b", New: "x"}))
	if err != nil || m.From != "b" {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(message{From: "b", Deltas: []Delta{{Host: "a", Epoch: run, To: 9, Changes: []Change{{Key: "k", Version: 1, Value: []byte("v")}}}}}))
	f.Add(encode(message{From: "b", Ask: []Known{{Host: "a"}}, Digest: []Known{{Host: "a", Epoch: run, Version: 3}}}))
	f.Add(encode(message{From: "b", Deltas: []Delta{{Host: "self", Epoch: lastEpoch, To: math.MaxUint64, Changes: []Change{{Key: "k", Version: 1}}}}}))
	f.Add(encode(message{From: "b", Deltas: []Delta{
		{Host: "a", Epoch: run, To: 9, Changes: []Change{{Key: "k", Version: 1, Value: []byte("v")}, {Key: "l", Version: 2}}},
		{Host: "a", Epoch: run, From: 9, To: 12, Changes: []Change{{Key: "k", Version: 10, Removed: true}, {Key: "m", Version: 12, Value: []byte("w")}}},
	}}))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := decode(body)
		if err != nil {
			return
		}
		s := newState("self", firstEpoch(1))
		for _, d := range m.Deltas {
			s.merge(d)
			if news, there := s.news(d.Host, 0); there {
				if err := news.validate(); err != nil {
					t.Errorf("what was taken of %q would not be taken from us: %v", d.Host, err)
				}
			}
		}
		// All of it over again, as changes of what is there: bounds hold after those, too.
		for _, d := range m.Deltas {
			at := s.at(d.Host)
			d.From, d.To, d.Epoch = at.Version, at.Version+d.To-d.From, max(at.Epoch, run)
			if d.validate() == nil {
				s.merge(d)
			}
		}
		total := 0
		for host, r := range s.records {
			bytes := 0
			for key, value := range r.live() {
				bytes += len(key) + len(value)
			}
			if bytes != r.bytes || bytes > MaxRecordBytes || len(r.live()) > MaxEntries || len(r.entries) > MaxEntries+keptTombstones {
				t.Errorf("%q has %d bytes, counted as %d, and %d entries", host, bytes, r.bytes, len(r.entries))
			}
			if host != s.self {
				total += r.cost()
			}
		}
		if total != s.total {
			t.Errorf("%d bytes of all hosts are counted as %d", total, s.total)
		}
		s.answer(s.have(m.Ask))
		s.behind(m.Digest)
	})
}
