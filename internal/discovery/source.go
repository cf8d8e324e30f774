package discovery

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Lister is a source of virtual machines.
type Lister interface {
	// List gives all machines that the source has now, scope by scope. A scope that rests
	// is in the listing, but is not asked for. It fails as a whole only if not even its
	// scopes are known. known are the machines that the mesh has of the source, found by
	// this server or by another before it: a source whose answers can lack what there is
	// sees by them what it is to ask for again, and changes none of them. It is called by
	// one goroutine at a time.
	List(ctx context.Context, rest Rest, known Known) (Listing, error)
}

// Rest is which scopes are left alone in a listing, by name: those that have failed, until
// it is their time again. Nil is none. A source that lists one of them with others all the
// same, because it has them by one call, is believed.
type Rest map[string]bool

// Known are machines that the mesh has of a source.
type Known map[mesh.VMKey]*mesh.VM

// Listing is what a source has.
type Listing struct {
	Scopes []Scope
	Cost
}

// Scope is a part of a source that is listed as a whole or not at all, such as a
// subscription: if one fails, the others go on.
type Scope struct {
	Name  string    // unique in the listing, not empty
	VMs   []mesh.VM // their Source and Scope are set by whoever listed
	Err   error     // why it could not be listed; VMs is not looked at then
	Rests bool      // it was not asked for; VMs and Err are not looked at then

	// Proven says that each known machine of it that VMs lacks is gone for sure: the source
	// has asked for it by its name. Without it a scope that is empty all at once is believed
	// only after some time.
	Proven bool

	// Of VMs so many are not in the source's answers any more, and are there as they were
	// known, because it is not sure that they are gone: Doubt says why.
	Held  int
	Doubt error
}

func (s *Scope) whole() bool { return s.Err == nil && !s.Rests }

// Cost is what a listing took.
type Cost struct {
	Calls     int // requests made, those included that were made again
	Throttled int // answered with 429
}

// A Throttled error says after what time a scope, or the source, wants to be asked again.
type Throttled struct {
	After time.Duration
	Err   error
}

func (t *Throttled) Error() string { return t.Err.Error() }

func (t *Throttled) Unwrap() error { return t.Err }

// RetryAfter reads for how long an HTTP server wants to be left alone, in seconds or as a
// date (RFC 9110, section 10.2.3); 0: it does not say.
func RetryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(min(seconds, int(longestWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// InClear says whether what is sent to an address can be read on the way: it is http, and
// not on this machine.
func InClear(at *url.URL) bool {
	ip := net.ParseIP(at.Hostname())
	return at.Scheme == "http" && at.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}
