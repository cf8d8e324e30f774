package hosts

// Meta is what a host says of itself when it joins a fleet.
type Meta struct {
	Version string `cbor:"1,keyasint,omitempty"` // of Heddle
	Bridge  bool   `cbor:"2,keyasint,omitempty"` // it tells a mesh with a server of the fleet, and the fleet of that
}

// Encode gives the bytes that the others are told.
func (m Meta) Encode() ([]byte, error) { return encoding.Marshal(m) }

// DecodeMeta reads them; of what is not understood nothing is known.
func DecodeMeta(body []byte) Meta {
	var m Meta
	if err := decoding.Unmarshal(body, &m); err != nil {
		return Meta{}
	}
	return m
}
