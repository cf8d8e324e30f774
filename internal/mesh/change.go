package mesh

// Change is one object that was put or deleted in the registry. Exactly one of
// the object fields is set; for a deletion it holds the object's last known state
// (at least its name).
type Change struct {
	Service    *Service
	Instance   *Instance
	Route      *Route
	Runtime    *Runtime
	TokenKeys  *TokenKeys
	Authorizer *Authorizer
	Revocation *Revocation
	VM         *VM
	VMSnapshot *VMSnapshot
	Discovery  *DiscoverySource
	Roster     *DiscoveryRoster
	Placing    *Placing
	Deleted    bool
	// Unreadable, with Deleted, says of a service that its value is there but cannot
	// be read, and that none before it is known.
	Unreadable bool
	Revision   int64 // the registry revision that brought the change
}

// Meta is what the registry knows about the object, or last knew of a deleted one.
func (c *Change) Meta() Meta {
	switch {
	case c.Service != nil:
		return c.Service.Meta
	case c.Instance != nil:
		return c.Instance.Meta
	case c.Route != nil:
		return c.Route.Meta
	case c.Runtime != nil:
		return c.Runtime.Meta
	case c.TokenKeys != nil:
		return c.TokenKeys.Meta
	case c.Authorizer != nil:
		return c.Authorizer.Meta
	case c.Revocation != nil:
		return c.Revocation.Meta
	case c.VM != nil:
		return c.VM.Meta
	case c.VMSnapshot != nil:
		return c.VMSnapshot.Meta
	}
	return Meta{}
}
