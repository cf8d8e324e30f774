package bridge

import (
	"fmt"
	"testing"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func change(m *mirror, deleted bool, service *mesh.Service, instance *mesh.Instance) {
	m.take(client.Event{Type: client.EventChange, Deleted: deleted, Service: service, Instance: instance})
}

func pay(id string, edit ...func(*mesh.Instance)) *mesh.Instance {
	one := &mesh.Instance{ID: mesh.InstanceID(id), Service: "pay", Address: "10.0.0.1", Port: 9000}
	for _, f := range edit {
		f(one)
	}
	return one
}

func known(t *testing.T, m *mirror, want ...string) {
	t.Helper()
	list, _ := m.copies(New(Config{Fleet: "ours"}).cfg)
	got := []string{}
	for _, s := range list {
		got = append(got, s.ID)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("known are %v, to be %v", got, want)
	}
}

// While a server sends the whole mesh anew, what was known counts; what it does not have
// any more is gone at the end of that.
func TestAServerThatBeginsAgainWithdrawsNothing(t *testing.T) {
	m := newMirror()
	m.coming = newMirror()
	change(m, false, &mesh.Service{Name: "pay", Protocol: mesh.HTTP, Port: 80}, nil)
	change(m, false, nil, pay("1"))
	known(t, m)
	m.take(client.Event{Type: client.EventSynced})
	change(m, false, nil, pay("2"))
	known(t, m, "pay/1", "pay/2")
	m.take(client.Event{Type: client.EventReset})
	change(m, false, &mesh.Service{Name: "pay", Protocol: mesh.HTTP, Port: 80}, nil)
	known(t, m, "pay/1", "pay/2")
	change(m, false, nil, pay("2"))
	m.take(client.Event{Type: client.EventSynced})
	known(t, m, "pay/2")
	change(m, false, nil, pay("2", func(i *mesh.Instance) { i.Health = mesh.Removed }))
	known(t, m)
}

// What hosts cannot call, or run themselves, they are not told of.
func TestWhatComesOverABridge(t *testing.T) {
	m := newMirror()
	change(m, false, &mesh.Service{Name: "pay", Protocol: mesh.TCP, Port: 5432}, nil)
	change(m, false, nil, pay("plain"))
	change(m, false, nil, pay("tls", func(i *mesh.Instance) { i.MTLS = true }))
	change(m, false, nil, pay("name", func(i *mesh.Instance) { i.Address = "db.example.org" }))
	change(m, false, nil, pay("back", func(i *mesh.Instance) { i.Labels = map[string]string{FleetLabel: "ours"} }))
	change(m, false, nil, pay("theirs", func(i *mesh.Instance) {
		i.Labels, i.Health = map[string]string{FleetLabel: "theirs"}, mesh.Draining
	}))
	change(m, false, nil, &mesh.Instance{ID: "1", Service: "undeclared", Address: "10.0.0.1", Port: 1})
	known(t, m, "pay/plain", "pay/theirs")
	list, why := m.copies(New(Config{Fleet: "ours"}).cfg)
	if why == "" {
		t.Error("that one takes mutual TLS only is not told")
	}
	if p := list[0].Ports[0]; p.ServicePort != 5432 || p.ByName || list[0].Mode != hosts.TCPMode || list[1].Health != hosts.Draining {
		t.Errorf("told is %+v", list)
	}
	only := New(Config{Fleet: "ours", Imports: []mesh.ServiceName{"web"}})
	if list, _ := m.copies(only.cfg); len(list) > 0 {
		t.Errorf("what was not chosen is told: %v", list)
	}
	for i := range mostImported {
		change(m, false, nil, pay(fmt.Sprintf("%05d", i)))
	}
	if list, why := m.copies(New(Config{Fleet: "ours"}).cfg); len(list) != mostImported || why == "" {
		t.Errorf("%d copies are told of, %q", len(list), why)
	}
}

// Each copy is one bridge's, each bridge has about its share, and one that is lost leaves
// the others' shares alone.
func TestBridgesShare(t *testing.T) {
	bridges := []string{"host-1", "host-2", "host-3"}
	count := map[string]int{}
	const copies = 3000
	for i := range copies {
		key := mesh.InstanceKey{Service: "web", ID: mesh.InstanceID(fmt.Sprint("default.h-", i))}
		of := responsible(bridges, key)
		count[of]++
		if again := responsible([]string{"host-3", "host-1", "host-2"}, key); again != of {
			t.Fatalf("%s is %s's or %s's", key, of, again)
		}
		if after := responsible(bridges[:2], key); of != "host-3" && after != of {
			t.Fatalf("%s goes from %s to %s when another one is lost", key, of, after)
		}
	}
	for _, one := range bridges {
		if n := count[one]; n < copies/3*8/10 || n > copies/3*12/10 {
			t.Errorf("%s has %d of %d", one, n, copies)
		}
	}
}
