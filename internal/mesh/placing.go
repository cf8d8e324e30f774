package mesh

import "time"

// Placing is how making machines instances of services does, as the server says that
// does it, for as long as it does.
type Placing struct {
	Server string         `json:"server"`
	Faults []UnwrittenSet `json:"faults,omitempty"` // MostPlacingFaults at most
	More   int            `json:"more,omitempty"`   // how many there are beside them
}

// MostPlacingFaults bounds how many sets are told of that could not be written.
const MostPlacingFaults = 100

// UnwrittenSet is a service whose machines of a source could not be written as its
// instances: they stay what they were.
type UnwrittenSet struct {
	Service ServiceName `json:"service"`
	Source  string      `json:"source"`
	Error   string      `json:"error"`
	Since   time.Time   `json:"since"` // the first of the tries in a row that failed
}
