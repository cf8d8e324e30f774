package catalog

import (
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Written says when the oldest of some changes was written, as the servers that wrote
// them dated it: their clocks have to agree with this one's. What bears no date, as
// an expired lease, and what is dated later than now was written now. Zero: there are
// none.
func Written(changes []mesh.Change, now time.Time) time.Time {
	var oldest time.Time
	for i := range changes {
		at := changes[i].Meta().UpdatedAt
		if changes[i].Deleted || at.IsZero() || at.After(now) {
			at = now
		}
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

// traces are those of the writes that are followed.
func traces(changes []mesh.Change) (found []string) {
	for i := range changes {
		if trace := changes[i].Meta().Trace; trace != "" && !changes[i].Deleted && len(found) < MaxTraces {
			found = append(found, trace)
		}
	}
	return found
}
