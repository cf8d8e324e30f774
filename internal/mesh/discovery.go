package mesh

import (
	"fmt"
	"time"
)

// DiscoverySource is how a source of virtual machines does, as the server that
// refreshes it wrote last.
type DiscoverySource struct {
	Name        string           `json:"name" doc:"The source, by the name that the servers' settings give it." example:"azure-prod"`
	Kind        string           `json:"kind" doc:"What it asks: azure or inventory." example:"azure"`
	Server      string           `json:"server" doc:"Which server asks it."`
	LastRun     time.Time        `json:"last_run,omitzero" doc:"When the latest refresh began."`
	LastSuccess time.Time        `json:"last_success,omitzero" doc:"When the latest refresh began that had all of its scopes whole."`
	DurationMS  float64          `json:"duration_ms" doc:"How long the latest refresh took, in milliseconds."`
	ListingMS   float64          `json:"listing_ms" doc:"How much of that had passed when the source had listed its machines; the rest is comparing and writing."`
	NextRun     time.Time        `json:"next_run,omitzero" doc:"When the next one is due."`
	Calls       int              `json:"calls" doc:"How many requests the latest refresh made."`
	Throttled   int              `json:"throttled" doc:"How many of them were answered with 429."`
	TotalCalls  int64            `json:"total_calls" doc:"How many requests that server has made of it."`
	VMs         int              `json:"vms" doc:"How many machines it has, those included that are kept although the latest refresh failed."`
	Written     int              `json:"written" doc:"How many machines the latest refresh found new or changed."`
	Removed     int              `json:"removed" doc:"How many it found to be gone."`
	Answered    int64            `json:"answered" doc:"The latest request for a refresh that began before the latest refresh, and so is answered by it."`
	Version     int64            `json:"version" doc:"The registry's revision that brought the latest change of its machines."`
	Error       string           `json:"error,omitempty" doc:"Why the latest refresh failed as a whole: everything that was known stays."`
	StaleAfter  float64          `json:"stale_after" doc:"After how many seconds in which a scope's machines were not confirmed by a whole listing they are told to be stale; none is removed for that. 0: never."`
	Scopes      []DiscoveryScope `json:"scopes" nullable:"false" doc:"The parts that are listed each as a whole, such as subscriptions."`
}

// DiscoveryRoster is which sources of virtual machines a server refreshes, for as long
// as it does.
type DiscoveryRoster struct {
	Server  string   `json:"server"`
	Sources []string `json:"sources"` // as its settings have them
	// Digests tell its settings of sources from other servers', by name, and nothing of what
	// they are; servers of before have none.
	Digests map[string]string `json:"digests,omitempty"`
}

// DiscoveryScope is how the latest listing of a part of a source went.
type DiscoveryScope struct {
	Name        string    `json:"name" doc:"Which part." example:"subscriptions/00000000-0000-0000-0000-000000000000"`
	VMs         int       `json:"vms" doc:"How many machines it has."`
	LastSuccess time.Time `json:"last_success,omitzero" doc:"When the latest whole listing of it began."`
	Error       string    `json:"error,omitempty" doc:"Why the latest one failed: what was known of it stays."`
	NotBefore   time.Time `json:"not_before,omitzero" doc:"Until when refreshes leave it out, as it wants (Retry-After); the other scopes go on."`
	Held        int       `json:"held,omitempty" doc:"How many machines are kept although the latest listing does not have them: it is not sure that they are gone. The error says why."`
	HeldSince   time.Time `json:"held_since,omitzero" doc:"Since when a scope that is listed has had such machines."`
}

// Stale gives the scopes whose machines have not been confirmed for too long: they are kept,
// and their addresses may be others' by now.
func (s *DiscoverySource) Stale(now time.Time) []DiscoveryScope {
	var out []DiscoveryScope
	for _, one := range s.Scopes {
		if n, since := one.unconfirmed(); s.StaleAfter > 0 && n > 0 && now.Sub(since).Seconds() > s.StaleAfter {
			out = append(out, one)
		}
	}
	return out
}

// Partly says whether a scope is listed but for some of its machines, which may not be gone.
func (s *DiscoveryScope) Partly() bool { return s.Held > 0 && s.Held < s.VMs }

// unconfirmed is how many machines of a scope nobody has confirmed, and since when.
func (s *DiscoveryScope) unconfirmed() (machines int, since time.Time) {
	if s.Held > 0 && !s.HeldSince.IsZero() {
		return s.Held, s.HeldSince
	}
	return s.VMs, s.LastSuccess
}

// Unconfirmed says which machines of a scope nobody has confirmed, and for how long:
// "3 of 10 machines have not been confirmed for 2h0m0s".
func (s *DiscoveryScope) Unconfirmed(now time.Time) string {
	n, since := s.unconfirmed()
	which, long := fmt.Sprintf("%d of %d machines have", n, s.VMs), "for longer than is known"
	switch {
	case n == 1 && s.VMs == 1:
		which = "1 machine has"
	case n == s.VMs:
		which = fmt.Sprintf("%d machines have", n)
	}
	if !since.IsZero() {
		long = "for " + now.Sub(since).Round(time.Second).String()
	}
	return which + " not been confirmed " + long
}

// Remedy says what can be done about a scope whose machines nobody confirms.
func (s *DiscoveryScope) Remedy(source string) string {
	if s.Partly() {
		return "mend why it is not sure that they are gone; the others are listed"
	}
	return fmt.Sprintf("if it is gone for good: heddle discovery forget %s --scope %s", source, s.Name)
}
