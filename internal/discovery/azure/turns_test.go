package azure_test

import (
	"fmt"
	"testing"

	"github.com/heddle-mesh/heddle/internal/azuretest"
)

// manyGroups has a machine in each of some groups, and as many as wanted in one of later
// name, which tests may still read.
func manyGroups(t *testing.T, groups int, later string, machines int) *azuretest.Azure {
	t.Helper()
	a := azuretest.New(t)
	for i := range groups {
		a.Put(azuretest.VM{Subscription: sub, Group: fmt.Sprintf("a-%03d", i), Name: fmt.Sprintf("vm-%d", i)})
	}
	for i := range machines + 1 {
		a.Put(azuretest.VM{Subscription: sub, Group: later, Name: fmt.Sprintf("%s-%d", later, i)})
	}
	return a
}

// TestDoubtsDoNotKeepFromWhatIsGone: where rights are lost to more groups than are asked for
// at once, what is deleted in another goes; and once they are back, what was deleted in any
// of them goes too.
func TestDoubtsDoNotKeepFromWhatIsGone(t *testing.T) {
	for _, listing := range listings {
		t.Run(string(listing), func(t *testing.T) {
			a := manyGroups(t, 130, "z", 3)
			s, r := source(t, a, by(listing)), &registry{}
			r.take(t, s)
			a.Show(sub + "/z")
			a.Delete(sub, "z", "z-0")
			r.take(t, s)
			if asked := a.Calls()[azuretest.OneVM]; asked != 100 {
				t.Fatalf("%d machines were asked for, want as many as at most", asked)
			}
			if r.take(t, s); r.has("z-0") != nil {
				t.Error("z-0 was put off twice")
			}
			r.take(t, s)
			a.Calls()
			a.Delete(sub, "z", "z-1")
			if r.take(t, s); r.has("z-1") != nil || len(r.known) != 132 {
				t.Errorf("%d machines are left, z-1 is %v", len(r.known), r.has("z-1"))
			}
			if asked := a.Calls()[azuretest.OneVM]; asked != 21 {
				t.Errorf("%d machines were asked for, want one that is gone, and 20 that were doubted before", asked)
			}
			var groups []string
			for i := range 130 {
				groups = append(groups, fmt.Sprintf("%s/a-%03d", sub, i))
				a.Delete(sub, fmt.Sprintf("a-%03d", i), fmt.Sprintf("vm-%d", i))
				if i < 65 { // the others' rights are lost for ever
					a.Put(azuretest.VM{Subscription: sub, Group: fmt.Sprintf("a-%03d", i), Name: "stays"})
				}
			}
			a.Show(append(groups[65:], sub+"/z")...)
			for range 7 {
				r.take(t, s)
			}
			if len(r.known) != 67 {
				t.Errorf("%d machines are left, want two, and 65 of which nobody knows", len(r.known))
			}
		})
	}
}

// TestAGroupThatDoesNotFitIsPutOffAlone: what costs less and comes after it is asked for.
func TestAGroupThatDoesNotFitIsPutOffAlone(t *testing.T) {
	for _, listing := range listings {
		t.Run(string(listing), func(t *testing.T) {
			a := manyGroups(t, 95, "m", 30)
			a.Put(azuretest.VM{Subscription: sub, Group: "z", Name: "gone"}, azuretest.VM{Subscription: sub, Group: "z", Name: "here"})
			s, r := source(t, a, by(listing)), &registry{}
			r.take(t, s)
			a.Show(sub+"/m", sub+"/z")
			a.Delete(sub, "z", "gone")
			for i := range 30 {
				a.Delete(sub, "m", fmt.Sprintf("m-%d", i))
			}
			if r.take(t, s); r.has("gone") != nil || r.has("m-0") == nil {
				t.Errorf("after one refresh gone is %v, m-0 is %v", r.has("gone"), r.has("m-0"))
			}
			if r.take(t, s); r.has("m-0") != nil || len(r.known) != 97 {
				t.Errorf("after two %d machines are left", len(r.known))
			}
		})
	}
}
