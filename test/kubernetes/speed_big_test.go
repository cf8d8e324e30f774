package kubernetes_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestSpeedOfBigService measures one service that has all the pods: what a change of
// one of them costs.
func TestSpeedOfBigService(t *testing.T) {
	if err := addressed(); err != nil {
		t.Skip("pods need addresses of their own: ", err)
	}
	c := kubetest.Start(t, kubetest.Config{NoControllers: true})
	install(t, c)
	w := join(t, c, "--no-leader-election", "--log-level", "info")
	s := &speed{w: w, namespace: "default", services: 1, pods: *speedPods} // it ends with the cluster: to delete thousands of pods takes long
	if _, err := c.Client.CoreV1().ServiceAccounts(s.namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.Config = rest.CopyConfig(c.Config)
	began := time.Now()
	s.populate()
	t.Logf("%d pods made in %s", s.pods, time.Since(began).Round(time.Millisecond))
	s.await(time.Minute, mesh.Healthy)
	operator, server := w.operator.used(t), w.server.used(t)
	floor, acked := s.latency()
	operator, server = w.operator.used(t).since(operator), w.server.used(t).since(server)
	rounds := float64(len(acked))
	beyond := make([]time.Duration, len(acked))
	for i := range acked {
		beyond[i] = acked[i] - floor[i]
	}
	operatorPeak, _ := w.operator.memory(t)
	serverPeak, _ := w.server.memory(t)
	for _, one := range []figure{
		{"change to another watcher, median", ms(median(floor)), "ms"},
		{"beyond the other watcher, median", ms(median(beyond)), "ms"},
		{"operator's CPU per change", ms(operator.cpu) / rounds, "ms"},
		{"operator writes per change", operator.written / rounds / 1024, "KiB"},
		{"operator's memory, at most", operatorPeak, "MiB"},
		{"server's CPU per change", ms(server.cpu) / rounds, "ms"},
		{"server's memory, at most", serverPeak, "MiB"},
	} {
		t.Logf("%-70s %9.2f %s", one.Name, one.Value, one.Unit)
	}
	if perChange := operator.written / rounds; perChange > 8<<10 {
		t.Errorf("the operator writes %.0f bytes for a change of one pod of %d: not what changed, but all of them", perChange, s.pods)
	}
}

// usage is what a process took of the machine.
type usage struct {
	cpu     time.Duration
	written float64 // bytes, to files and sockets
}

func (u usage) since(before usage) usage {
	return usage{u.cpu - before.cpu, u.written - before.written}
}

func (p *program) used(t testing.TB) usage {
	t.Helper()
	var out usage
	io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	var read float64
	if _, err := fmt.Sscanf(string(io), "rchar: %f\nwchar: %f", &read, &out.written); err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, fields, _ := strings.Cut(string(stat), ") ")
	all := strings.Fields(fields)
	for _, at := range []int{11, 12} { // of the user and of the system, in ticks of 10 ms
		ticks, err := strconv.Atoi(all[at])
		if err != nil {
			t.Fatal(err)
		}
		out.cpu += time.Duration(ticks) * 10 * time.Millisecond
	}
	return out
}
