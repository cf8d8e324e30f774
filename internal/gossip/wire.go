package gossip

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// message is what hosts send each other beside memberlist's own: CBOR (RFC 8949)
// with numbers for names. Fields that a later version adds are not read.
type message struct {
	From   string  `cbor:"1,keyasint"`           // the sender
	Deltas []Delta `cbor:"2,keyasint,omitempty"` // what changed, or what was asked for
	Ask    []Known `cbor:"3,keyasint,omitempty"` // what the sender would like to have, and how far it knows it
	Digest []Known `cbor:"4,keyasint,omitempty"` // how far the sender knows all
	// With a digest: the number of the sender's run, and for how many milliseconds it goes on.
	Run uint32 `cbor:"5,keyasint,omitempty"`
	Up  uint64 `cbor:"6,keyasint,omitempty"`
}

// decoding bounds what a stranger can make this host allocate; a message is at
// most as large as memberlist takes.
var decoding = must(cbor.DecOptions{
	DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
	MaxNestedLevels: 8, MaxArrayElements: 1 << 17, MaxMapPairs: 16, UTF8: cbor.UTF8RejectInvalid,
}.DecMode())

func must(mode cbor.DecMode, err error) cbor.DecMode {
	if err != nil {
		panic(err)
	}
	return mode
}

func encode(v any) []byte {
	body, err := cbor.Marshal(v)
	if err != nil {
		panic("gossip: what consists of strings, numbers and bytes cannot be encoded: " + err.Error())
	}
	return body
}

func size(d Delta) int { return len(encode(d)) }

// decode reads a message and refuses what no host would say, so that merging need
// not look.
func decode(body []byte) (message, error) {
	var m message
	if err := decoding.Unmarshal(body, &m); err != nil {
		return message{}, fmt.Errorf("it is no message of gossip: %w", err)
	}
	if err := validHost(m.From); err != nil {
		return message{}, err
	}
	if len(m.Deltas) > mostOfHosts || len(m.Ask) > mostOfHosts || len(m.Digest) > mostOfHosts {
		return message{}, fmt.Errorf("from %q: %w", m.From, of(m.From, m.From, errLong))
	}
	for _, d := range m.Deltas {
		if err := d.validate(); err != nil {
			return message{}, fmt.Errorf("from %q, of %.60q: %w", m.From, d.Host, of(d.Host, m.From, err))
		}
	}
	for _, list := range [][]Known{m.Ask, m.Digest} {
		for _, one := range list {
			err := validHost(one.Host)
			if err == nil && one.Epoch > lastEpoch {
				err = errNoDelta
			}
			if err != nil {
				return message{}, fmt.Errorf("from %q: %w", m.From, of(m.From, m.From, err))
			}
		}
	}
	return m, nil
}

// nonsense is what a message says of a host, and no host would say.
type nonsense struct {
	host, from string
	err        error
}

// Error implements error.
func (n *nonsense) Error() string { return n.err.Error() }

func of(host, from string, err error) error {
	if validHost(host) != nil {
		host = from
	}
	return &nonsense{host, from, err}
}

func validHost(host string) error {
	if host == "" || len(host) > maxHostBytes {
		return fmt.Errorf("the name of a host has %d bytes, and may have 1 to %d", len(host), maxHostBytes)
	}
	return nil
}

// mostOfHosts is of how many hosts one message may tell or ask: of each that is kept, once.
const mostOfHosts = MaxHosts + maxStrays + 1

var errLong = fmt.Errorf("it tells or asks of more than %d hosts", mostOfHosts)

var errNoDelta = errors.New("its versions make no sense")

func (d Delta) validate() error {
	if err := validHost(d.Host); err != nil {
		return err
	}
	if d.Epoch < run || d.Epoch > lastEpoch || d.To == 0 || d.From > d.To || d.notice() && len(d.Changes) > 0 {
		return errNoDelta
	}
	if len(d.Changes) > MaxEntries+keptTombstones {
		return fmt.Errorf("%d changes: a host has at most %d entries", len(d.Changes), MaxEntries)
	}
	keys := make(map[string]struct{}, len(d.Changes))
	for _, c := range d.Changes {
		_, twice := keys[c.Key]
		keys[c.Key] = struct{}{}
		switch {
		case c.Key == "" || len(c.Key) > MaxKeyBytes:
			return fmt.Errorf("a key has %d bytes, and may have 1 to %d", len(c.Key), MaxKeyBytes)
		case twice:
			return fmt.Errorf("key %q is there twice", c.Key)
		case len(c.Value) > MaxBytes:
			return fmt.Errorf("entry %q has %d bytes, and may have %d", c.Key, len(c.Value), MaxBytes)
		case c.Version <= d.From || c.Version > d.To, c.Removed && d.From == 0:
			return errNoDelta
		}
	}
	return nil
}
