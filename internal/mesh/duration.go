package mesh

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Duration is a span of time that JSON writes with its unit: "250ms", "1m30s"
// (the syntax of [time.ParseDuration]).
type Duration time.Duration

// ZeroDuration is what is said of a duration that is written out as zero.
const ZeroDuration = "is zero, which does not mean \"no bound\" here: leave it out for the default"

// noBound is added where a bound can be lifted.
const noBound = ", or lift the bound with noTimeout: true under the service's traffic"

// Std gives the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes the duration with its unit, and without the zeros that
// [time.Duration] ends with: 24h rather than 24h0m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalJSON writes the duration as a string with its unit.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads a string with a unit; a bare number is refused, for it has none.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("a duration is a string with a unit, such as \"250ms\" or \"5s\"")
	}
	parsed, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%s is not a duration: use a number with a unit, such as \"250ms\" or \"5s\"", quote(s))
	}
	*d = Duration(parsed)
	return nil
}

// durationFault says why d lies outside low..high, or "". Zero means "not set" and is fine.
func durationFault(d Duration, low, high time.Duration) string {
	if d == 0 || d.Std() >= low && d.Std() <= high {
		return ""
	}
	return fmt.Sprintf("%s is out of range: use %s to %s", d, Duration(low), Duration(high))
}
