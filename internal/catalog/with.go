package catalog

import (
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// With gives the view as it would be with changes, which are not made: what might
// be asked of it can be asked beforehand. An instance that is deleted is gone at
// once. The view itself stays as it is.
func (v *View) With(changes ...mesh.Change) *View {
	c := New(Config{Clock: func() time.Time { return time.Time{} }})
	c.current.Store(v)
	all := make([]mesh.Change, 0, len(changes))
	for _, change := range changes {
		if change.Instance != nil && change.Deleted {
			gone := *change.Instance
			gone.Health = mesh.Removed // it is no lease that ended
			change = mesh.Change{Instance: &gone}
		}
		all = append(all, change)
	}
	c.Apply(v.mark.Revision, v.synced, all)
	return c.View()
}
