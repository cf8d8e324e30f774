package discovery

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func vm(scope, id string) mesh.VM {
	return mesh.VM{Source: "az", ID: id, Name: id, Scope: scope, PrivateIP: "10.0.0.1", State: mesh.VMRunning, Health: mesh.VMHealthUnknown}
}

func known(vms ...mesh.VM) map[mesh.VMKey]*mesh.VM {
	out := map[mesh.VMKey]*mesh.VM{}
	for i := range vms {
		out[vms[i].Key()] = &vms[i]
	}
	return out
}

func whole(m merged) bool { return !m.failed && !m.held }

func ids(m merged) (put, gone []string) {
	for _, one := range m.put {
		put = append(put, one.ID)
	}
	for _, one := range m.gone {
		gone = append(gone, one.ID)
	}
	return put, gone
}

// TestOnlyWhatWasListedAsAWholeIsRemoved: a scope that fails keeps its machines, and the
// others go on.
func TestOnlyWhatWasListedAsAWholeIsRemoved(t *testing.T) {
	moved := vm("b", "b1")
	moved.PrivateIP = "10.0.0.9"
	for name, c := range map[string]struct {
		known     []mesh.VM
		scopes    []Scope
		put, gone []string
		count     int
		whole     bool
	}{
		"nothing changed":            {[]mesh.VM{vm("a", "a1")}, []Scope{{Name: "a", VMs: []mesh.VM{vm("a", "a1")}}}, nil, nil, 1, true},
		"one came, one went":         {[]mesh.VM{vm("a", "a1")}, []Scope{{Name: "a", VMs: []mesh.VM{vm("a", "a2")}}}, []string{"a2"}, []string{"a1"}, 1, true},
		"one scope fails":            {[]mesh.VM{vm("a", "a1"), vm("b", "b1"), vm("b", "b2")}, []Scope{{Name: "a", Err: errors.New("403")}, {Name: "b", VMs: []mesh.VM{moved}}}, []string{"b1"}, []string{"b2"}, 2, false},
		"all scopes fail":            {[]mesh.VM{vm("a", "a1"), vm("b", "b1")}, []Scope{{Name: "a", Err: errors.New("403")}, {Name: "b", Err: errors.New("403")}}, nil, nil, 2, false},
		"a scope is not listed":      {[]mesh.VM{vm("a", "a1"), vm("old", "o1")}, []Scope{{Name: "a", VMs: []mesh.VM{vm("a", "a1")}}}, nil, nil, 2, false},
		"a scope has another name":   {[]mesh.VM{vm("old", "a1")}, []Scope{{Name: "a", VMs: []mesh.VM{vm("a", "a1")}}}, []string{"a1"}, nil, 1, true},
		"it went to another scope":   {[]mesh.VM{vm("a", "x"), vm("a", "y")}, []Scope{{Name: "a", Err: errors.New("403")}, {Name: "b", VMs: []mesh.VM{vm("b", "x")}}}, []string{"x"}, nil, 2, false},
		"one may not be gone":        {[]mesh.VM{vm("a", "a1"), vm("a", "a2"), vm("a", "a3")}, []Scope{{Name: "a", VMs: []mesh.VM{vm("a", "a1"), vm("a", "a2"), vm("a", "a4")}, Held: 1, Doubt: errors.New("403")}}, []string{"a4"}, []string{"a3"}, 3, false},
		"all gone, as proven":        {[]mesh.VM{vm("a", "a1"), vm("a", "a2")}, []Scope{{Name: "a", Proven: true}}, nil, []string{"a1", "a2"}, 0, true},
		"proven, and one in doubt":   {[]mesh.VM{vm("a", "a1"), vm("a", "a2")}, []Scope{{Name: "a", Proven: true, VMs: []mesh.VM{vm("a", "a1")}, Held: 1, Doubt: errors.New("403")}}, nil, []string{"a2"}, 1, false},
		"of no scope":                {[]mesh.VM{vm("a", "a1"), vm("", "x")}, []Scope{{Name: "a", VMs: []mesh.VM{vm("a", "a1")}}}, nil, []string{"x"}, 1, true},
		"of no scope, and one fails": {[]mesh.VM{vm("a", "a1"), vm("", "x")}, []Scope{{Name: "a", Err: errors.New("403")}}, nil, nil, 2, false},
		"none where there was none":  {nil, []Scope{{Name: "a"}}, nil, nil, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := merge(known(c.known...), Listing{Scopes: c.scopes}, map[string]memory{}, time.Now())
			put, gone := ids(m)
			if !slices.Equal(put, c.put) || !slices.Equal(gone, c.gone) || m.count != c.count || whole(m) != c.whole {
				t.Errorf("put %v, gone %v, %d machines, whole %v; want %v, %v, %d, %v", put, gone, m.count, whole(m), c.put, c.gone, c.count, c.whole)
			}
		})
	}
}

// TestAScopeThatIsEmptyAllAtOnceIsBelievedTheThirdTime: who loses the right to see
// machines is told that there are none.
func TestAScopeThatIsEmptyAllAtOnceIsBelievedTheThirdTime(t *testing.T) {
	had, remembered := known(vm("a", "a1"), vm("a", "a2")), map[string]memory{}
	empty := Listing{Scopes: []Scope{{Name: "a"}}}
	now := time.Now()
	look := func(l Listing) merged {
		now = now.Add(3 * time.Minute)
		return merge(had, l, remembered, now)
	}
	for range 2 {
		if m := look(empty); len(m.gone) != 0 || whole(m) || m.count != 2 || m.scopes[0].Held != 2 {
			t.Fatalf("an empty listing was believed at once: %+v", m)
		}
	}
	// One that has them again, and one that fails, begin the count anew.
	if m := look(Listing{Scopes: []Scope{{Name: "a", VMs: []mesh.VM{vm("a", "a1"), vm("a", "a2")}}}}); !whole(m) {
		t.Fatalf("a whole listing is none: %+v", m)
	}
	look(empty)
	look(empty)
	look(Listing{Scopes: []Scope{{Name: "a", Err: errors.New("500")}}})
	for range 2 {
		if m := look(empty); len(m.gone) != 0 {
			t.Fatalf("the count did not begin anew: %+v", m)
		}
	}
	if m := look(empty); len(m.gone) != 2 || !whole(m) || m.scopes[0].Held != 0 {
		t.Errorf("the third empty listing is not believed: %+v", m)
	}
	clear(remembered)
	for range 20 { // within seconds, as events may have it asked
		now = now.Add(-3*time.Minute + 10*time.Second)
		if m := look(empty); len(m.gone) != 0 {
			t.Fatalf("it is believed within seconds: %+v", m)
		}
	}
}

// TestWhatTookTheMachinesOfAScopeHasToBeListed: settings that name groups in the place of
// a subscription, before the identity may read them, must not empty the mesh.
func TestWhatTookTheMachinesOfAScopeHasToBeListed(t *testing.T) {
	had, remembered, now := known(vm("sub", "a1"), vm("sub", "a2")), map[string]memory{}, time.Now()
	for round := range 10 {
		now = now.Add(3 * time.Minute)
		m := merge(had, Listing{Scopes: []Scope{{Name: "sub/group", Err: errors.New("403")}}}, remembered, now)
		if len(m.gone) != 0 || m.count != 2 || !m.failed {
			t.Fatalf("round %d: %+v", round, m)
		}
	}
	moved := vm("sub/group", "a1")
	m := merge(had, Listing{Scopes: []Scope{{Name: "sub/group", VMs: []mesh.VM{moved}}}}, remembered, now)
	if put, gone := ids(m); !slices.Equal(put, []string{"a1"}) || len(gone) != 0 {
		t.Fatalf("once it is listed: put %v, gone %v", put, gone)
	}
}

// TestAScopeThatVanishesIsBelievedTheThirdTime: a cloud does not name what one may not see.
func TestAScopeThatVanishesIsBelievedTheThirdTime(t *testing.T) {
	had, remembered, now := known(vm("a", "a1"), vm("b", "b1")), map[string]memory{}, time.Now()
	for _, listing := range []Listing{{}, {Scopes: []Scope{{Name: "a", VMs: []mesh.VM{vm("a", "a1")}}}}} {
		now = now.Add(3 * time.Minute)
		if m := merge(had, listing, remembered, now); len(m.gone) != 0 || whole(m) || m.count != 2 || m.scopes[len(m.scopes)-1].Held != 1 {
			t.Fatalf("what vanished is believed at once: %+v", m)
		}
	}
	m := merge(had, Listing{Scopes: []Scope{{Name: "a", VMs: []mesh.VM{vm("a", "a1")}}}}, remembered, now.Add(3*time.Minute))
	if _, gone := ids(m); !slices.Equal(gone, []string{"b1"}) || !whole(m) {
		t.Errorf("the third time it is not believed: %+v", m)
	}
	if merge(known(vm("a", "a1")), Listing{Scopes: []Scope{{Name: "a", VMs: []mesh.VM{vm("a", "a1")}}}}, remembered, time.Now()); len(remembered) != 1 {
		t.Errorf("it is remembered for good: %v", remembered)
	}
}

// TestWhatTheRegistryDoesNotTellApartIsTheSame: an empty list comes back as none.
func TestWhatTheRegistryDoesNotTellApartIsTheSame(t *testing.T) {
	stored, listed := vm("a", "a1"), vm("a", "a1")
	stored.Meta = mesh.Meta{Revision: 7, Author: "discovery"}
	listed.Tags, listed.Addresses, listed.Faults, listed.Runs = map[string]string{}, []string{}, []string{}, []mesh.VMService{}
	if !same(&stored, &listed) {
		t.Error("they differ")
	}
	for name, change := range map[string]func(*mesh.VM){
		"tags": func(v *mesh.VM) { v.Tags = map[string]string{"a": "b"} }, "state": func(v *mesh.VM) { v.State = mesh.VMStopped },
		"runs": func(v *mesh.VM) { v.Runs = []mesh.VMService{{Name: "a"}} }, "addresses": func(v *mesh.VM) { v.Addresses = []string{"10.0.0.2"} },
		"faults": func(v *mesh.VM) { v.Faults = []string{"no"} }, "weight": func(v *mesh.VM) { v.Weight = 2 }, "public": func(v *mesh.VM) { v.PublicIP = "1.2.3.4" },
	} {
		other := vm("a", "a1")
		if change(&other); same(&stored, &other) {
			t.Errorf("another in its %s is the same", name)
		}
	}
}

// TestNoFieldOfAMachineIsPassedOver: one that is compared by nothing would never change.
func TestNoFieldOfAMachineIsPassedOver(t *testing.T) {
	for i := range reflect.TypeFor[mesh.VM]().NumField() {
		a, b := vm("a", "a1"), vm("a", "a1")
		field := reflect.ValueOf(&b).Elem().Field(i)
		switch field.Kind() {
		case reflect.String:
			field.SetString("another")
		case reflect.Int:
			field.SetInt(7)
		case reflect.Slice:
			field.Set(reflect.MakeSlice(field.Type(), 1, 1))
		case reflect.Map:
			b.Tags = map[string]string{"a": "b"}
		default:
			if name := reflect.TypeFor[mesh.VM]().Field(i).Name; name != "Meta" {
				t.Fatalf("the test knows no field such as %s", name)
			}
			continue
		}
		if same(&a, &b) {
			t.Errorf("another in its %s is the same", reflect.TypeFor[mesh.VM]().Field(i).Name)
		}
	}
}
