package insight_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// plainMesh has services of ten instances each, and callers at addresses of them.
func plainMesh(services, callers int) ([]mesh.Change, insight.Observed) {
	var changes []mesh.Change
	address := func(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) }
	for s := range services {
		name := fmt.Sprintf("s%d", s)
		changes = append(changes, service(name))
		for i := range 10 {
			one := instance(name, fmt.Sprint(i), mesh.Healthy, false)
			one.Instance.Address = address(s*10 + i)
			changes = append(changes, one)
		}
	}
	var seen insight.Observed
	for i := range callers {
		seen.Edges = append(seen.Edges, mesh.Edge{Caller: "address/" + address(i), Callee: "s0", Requests: 1, FirstSeen: now, LastSeen: now})
	}
	return changes, seen
}

// BenchmarkDriftOfPlainCallers is a mesh on its way to strict mutual TLS.
func BenchmarkDriftOfPlainCallers(b *testing.B) {
	changes, seen := plainMesh(2000, 4000)
	v := view(changes...)
	b.ReportAllocs()
	for b.Loop() {
		insight.Drift(v, seen, insight.DriftOptions{Now: now})
	}
}

// TestPlainCallersCostWhatTheyAre: instances are looked through once, not for each
// caller.
func TestPlainCallersCostWhatTheyAre(t *testing.T) {
	const services, callers = 1000, 1000
	changes, seen := plainMesh(services, callers)
	shared, again := instance("s1", "shared", mesh.Healthy, false), instance("s1", "again", mesh.Healthy, false)
	shared.Instance.Address, again.Instance.Address = "10.0.0.0", "10.0.0.0" // of s0, too
	v := view(append(changes, shared, again)...)
	made := func(edges []mesh.Edge) (d mesh.Drift, bytes uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d = insight.Drift(v, insight.Observed{Edges: edges}, insight.DriftOptions{Now: now})
		runtime.ReadMemStats(&after)
		return d, after.TotalAlloc - before.TotalAlloc
	}
	one, bytes := made(seen.Edges[:1])
	if !strings.HasSuffix(one.Items[0].Message, "; at that address there are instances of s0, s1") {
		t.Error(one.Items[0].Message)
	}
	// Going through the services takes more than ten bytes for each.
	if all, more := made(seen.Edges); len(all.Items) != callers || more > bytes+callers*services*5 {
		t.Errorf("one caller takes %d bytes, and %d take %d", bytes, len(all.Items), more)
	}
}
