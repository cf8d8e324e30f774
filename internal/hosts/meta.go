package hosts

// Meta is what a host says of itself when it joins a fleet.
type Meta struct {
	Version string `cbor:"1,keyasint,omitempty"` // of Heddle
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
