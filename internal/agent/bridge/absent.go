package bridge

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// absentPatience is how long a copy may take to be in the mesh before it is a problem that it is not.
const absentPatience = 20 * time.Second

// check looks whether the mesh has what this bridge answers for: a server that answers may
// still take no registration, or not all. What is not healthy is not registered at first.
func (e *exporter) check(wanted map[mesh.InstanceKey]mesh.Instance, now time.Time) {
	if _, synced, lost := e.mirror.how(); !synced || lost != nil {
		clear(e.missing) // nobody knows
	}
	maps.DeleteFunc(e.missing, func(key mesh.InstanceKey, _ time.Time) bool { _, still := wanted[key]; return !still })
	var late []string
	for key, instance := range wanted {
		_, registered := e.mirror.bridgeOf(key)
		since, known := e.missing[key]
		switch {
		case registered, instance.Health != mesh.Healthy, e.writes.refuses(key.Service): // the last is told by itself
			delete(e.missing, key)
		case !known:
			e.missing[key] = now
		case now.Sub(since) >= absentPatience:
			late = append(late, key.String())
		}
	}
	if len(late) == 0 {
		e.absent.Store(nil)
		return
	}
	text := fmt.Sprintf("%d of its share, such as %s", len(late), slices.Min(late))
	e.absent.Store(&text)
}
