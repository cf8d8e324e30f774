package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/logtest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What the other hosts cannot be told is left out, told of once in the log, and refused when
// it is to be drained; all else that the host runs goes on to be told.
func TestOneEntryThatCannotBeToldHoldsUpNoOther(t *testing.T) {
	var log logtest.Buffer
	file, docker := newSource("file"), newSource("docker")
	a := start(t, Config{Gossip: quick("a", "127.0.0.1:0"), Sources: []Source{file, docker}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	docker.lists <- []hosts.Service{one("old", "web", 1000)}
	a.sees(t, "a", "old")
	long, large, many, garbled := one(strings.Repeat("x", 300), "long", 1001), one("large", "large", 1002), one("many", "many", 1003), one("garbled", "\xff", 1004)
	large.Image = strings.Repeat("x", 17<<10)
	many.Labels = map[string]string{}
	for i := range 1025 {
		many.Labels[fmt.Sprint(i)] = ""
	}
	bad := []hosts.Service{long, large, many, garbled}
	file.lists <- append(bad, one("fine", "web", 1005))
	docker.lists <- []hosts.Service{one("new", "web", 1006)} // old has ended
	a.sees(t, "a", "new", "fine")                            // docker/new, file/fine
	file.lists <- append(bad, one("fine", "web", 1005), one("more", "web", 1007))
	a.sees(t, "a", "new", "fine", "more")
	heddletest.Eventually(t, "each to be told of once", func() error {
		if told := strings.Count(log.String(), "level=WARN"); told != len(bad) {
			return fmt.Errorf("told %d times:\n%s", told, log.String())
		}
		return nil
	})
	for _, s := range bad {
		var refused *mesh.Error
		if list, err := a.Drain(s.ID, true); !errors.As(err, &refused) || refused.Kind != mesh.KindInvalid || len(list) > 0 {
			t.Errorf("drain of %.20s: %v, %v", s.ID, list, err)
		}
	}
	if list, err := a.Drain("new", true); err != nil || len(list) != 1 || list[0].Health != hosts.Draining {
		t.Errorf("drain of one that is told: %v, %v", list, err)
	}
}
