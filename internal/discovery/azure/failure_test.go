package azure_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/discovery/azure"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// subID is how many-th subscription.
func subID(i int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", i) }

// twoOf has two subscriptions with five pages of machines each, and a uniform scale set
// with as many.
func twoOf(t testing.TB) *azuretest.Azure {
	t.Helper()
	a := azuretest.New(t)
	a.PageSize(2)
	for s := range 2 {
		set := azuretest.ScaleSet{Subscription: subID(s), Group: "mesh", Name: "web"}
		for i := range 9 {
			nic := azuretest.Address(fmt.Sprintf("10.%d.0.%d", s, i+1), fmt.Sprintf("20.%d.0.%d", s, i+1))
			a.Put(azuretest.VM{Subscription: subID(s), Group: "mesh", Name: fmt.Sprintf("vm-%d-%d", s, i), NICs: []azuretest.NIC{nic}})
			set.Instances = append(set.Instances, azuretest.VM{Name: fmt.Sprint(i), NICs: []azuretest.NIC{azuretest.Address(fmt.Sprintf("10.%d.1.%d", s, i+1), fmt.Sprintf("20.%d.1.%d", s, i+1))}})
		}
		a.PutScaleSet(set)
	}
	return a
}

func twoSubscriptions(by azure.Listing) func(*azure.Config) {
	return func(cfg *azure.Config) {
		cfg.Listing, cfg.Subscriptions = by, []azure.Subscription{{ID: subID(0)}, {ID: subID(1)}}
	}
}

// TestNoFailureRemovesAMachine: whatever call fails, on whatever page, in whatever way: a
// scope has all of its machines with all of their addresses, or says that it failed.
func TestNoFailureRemovesAMachine(t *testing.T) {
	failures := map[string]azuretest.Failure{
		"throttled":      {Status: http.StatusTooManyRequests, Code: "TooManyRequests", RetryAfter: 2 * time.Minute},
		"forbidden":      {Status: http.StatusForbidden, Code: "AuthorizationFailed"},
		"broken":         {Status: http.StatusInternalServerError, Code: "InternalServerError"},
		"not its token":  {Status: http.StatusUnauthorized, Code: "InvalidAuthenticationToken"},
		"no JSON":        {Status: http.StatusOK, Body: "<html>"},
		"half of JSON":   {Status: http.StatusOK, Body: `{"value":[{"id":"/subscr`},
		"another answer": {Status: http.StatusOK, Body: `{}`},
		"not found":      {Status: http.StatusNotFound, Code: "SubscriptionNotFound"},
		"gone":           {Status: http.StatusGone, Code: "Gone"},
	}
	for _, by := range listings {
		apis := []string{azuretest.Graph}
		if by == azure.ByARM {
			apis = []string{azuretest.VMs, azuretest.VMStatus, azuretest.Interfaces, azuretest.PublicIPs, azuretest.ScaleSets, azuretest.Instances, azuretest.InstanceNICs, azuretest.InstancePublic}
		}
		for _, api := range apis {
			for _, page := range []int{1, 3} {
				for _, name := range slices.Sorted(maps.Keys(failures)) {
					if api == azuretest.ScaleSets && page > 1 || page == 1 && name != "broken" && name != "another answer" && api != azuretest.ScaleSets {
						continue
					}
					t.Run(fmt.Sprintf("%s, page %d of %s, %s", by, page, api, name), func(t *testing.T) {
						failed := failures[name]
						a := twoOf(t)
						failAt(t, a, by, api, page, &failed)
					})
				}
			}
		}
	}
}

func failAt(t *testing.T, a *azuretest.Azure, by azure.Listing, api string, page int, failed *azuretest.Failure) {
	t.Helper()
	s := source(t, a, twoSubscriptions(by))
	azure.Hasten(s)
	before := whole(t, s)
	if len(before) != 27 { // the sets' instances have the same names
		t.Fatalf("there are %d names of machines", len(before))
	}
	a.Fail(func(r azuretest.Request) *azuretest.Failure {
		if r.API == api && r.Page == page && r.Subscription != subID(1) {
			return failed
		}
		return nil
	})
	listing := list(t, s)
	if len(listing.Scopes) != 2 || listing.Scopes[0].Err == nil {
		t.Fatalf("%d scopes; the first one's error is nil", len(listing.Scopes))
	}
	throttled := (*discovery.Throttled)(nil)
	if is := errors.As(listing.Scopes[0].Err, &throttled); is != (failed.RetryAfter > 0) || is && throttled.After != failed.RetryAfter {
		t.Errorf("it wants to be left alone: %v; %v", is, listing.Scopes[0].Err)
	}
	if failed.RetryAfter > 0 && listing.Throttled == 0 {
		t.Error("no call was counted as throttled")
	}
	other := listing.Scopes[1]
	if by == azure.ByARM && (other.Err != nil || len(other.VMs) != 18) || by == azure.ByResourceGraph && other.Err == nil {
		t.Errorf("the other subscription has %d machines: %v", len(other.VMs), other.Err)
	}
	if by == azure.ByARM && !strings.Contains(listing.Scopes[0].Err.Error(), "list") {
		t.Errorf("it does not say what failed: %v", listing.Scopes[0].Err)
	}
	a.Fail(nil)
	if after := whole(t, s); len(after) != len(before) {
		t.Errorf("there are %d machines after it, and were %d", len(after), len(before))
	}
}

func TestAShortWaitIsWaitedFor(t *testing.T) {
	a := twoOf(t)
	failed := false
	a.Fail(func(r azuretest.Request) *azuretest.Failure {
		if r.API != azuretest.Graph || r.Page != 2 || failed {
			return nil
		}
		failed = true
		return &azuretest.Failure{Status: http.StatusTooManyRequests, Code: "RateLimiting", RetryAfter: time.Second}
	})
	s := source(t, a, twoSubscriptions(azure.ByResourceGraph))
	listing := list(t, s)
	if listing.Scopes[0].Err != nil || listing.Throttled != 1 {
		t.Errorf("throttled %d times: %v", listing.Throttled, listing.Scopes[0].Err)
	}
}

func TestALongWaitIsNotSleptThrough(t *testing.T) {
	a := twoOf(t)
	a.Fail(func(r azuretest.Request) *azuretest.Failure {
		if r.API == azuretest.Token {
			return nil
		}
		return &azuretest.Failure{Status: http.StatusTooManyRequests, Code: "OperationNotAllowed", RetryAfter: 10 * time.Minute}
	})
	began := time.Now()
	listing := list(t, source(t, a, twoSubscriptions(azure.ByARM)))
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	if listing.Calls > 10 {
		t.Errorf("it called %d times", listing.Calls)
	}
}

func TestATokenThatIsNotTakenIsReplaced(t *testing.T) {
	for _, by := range listings {
		t.Run(string(by), func(t *testing.T) {
			a := twoOf(t)
			s := source(t, a, twoSubscriptions(by))
			whole(t, s)
			a.ExpireTokens()
			if got := whole(t, s); len(got) != 27 {
				t.Errorf("%d machines are listed then", len(got))
			}
		})
	}
}

func TestAListingEndsWithItsContext(t *testing.T) {
	a := twoOf(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a.Fail(func(r azuretest.Request) *azuretest.Failure {
		if r.API == azuretest.Interfaces {
			cancel()
			return &azuretest.Failure{Hang: true}
		}
		return nil
	})
	listing, err := source(t, a, twoSubscriptions(azure.ByARM)).List(ctx, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range listing.Scopes {
		if !errors.Is(scope.Err, context.Canceled) {
			t.Errorf("%s: %v", scope.Name, scope.Err)
		}
	}
}

// TestADeletionBetweenPagesHidesNoOther: pages of Resource Graph begin at the row of a
// number, and a deletion before that moves one that runs out of sight.
func TestADeletionBetweenPagesHidesNoOther(t *testing.T) {
	a := twoOf(t)
	s := source(t, a, twoSubscriptions(azure.ByResourceGraph))
	before := whole(t, s)
	deleted := false
	a.Before(func(r azuretest.Request) {
		if r.API == azuretest.Graph && r.Page == 2 && !deleted {
			deleted = true
			a.Delete(subID(0), "mesh", "vm-0-0")
		}
	})
	listing, seen := list(t, s), map[string]bool{}
	for _, scope := range listing.Scopes {
		for _, vm := range scope.VMs {
			seen[vm.Name] = vm.PrivateIP != "" && vm.PublicIP != "" || vm.Name == "vm-0-0"
		}
	}
	for name := range before {
		if !seen[name] && name != "vm-0-0" {
			t.Errorf("%s runs, and is not listed with its addresses", name)
		}
	}
	if !deleted {
		t.Error("nothing was deleted between pages")
	}
}

func TestWhatIsDeletedBetweenListsFailsNothing(t *testing.T) {
	a := twoOf(t)
	a.Before(func(r azuretest.Request) {
		switch r.API {
		case azuretest.Instances:
			a.DeleteScaleSet(subID(0), "mesh", "web")
		case azuretest.VMStatus:
			a.Delete(subID(0), "mesh", "vm-0-3")
		}
	})
	listing := list(t, source(t, a, twoSubscriptions(azure.ByARM)))
	for _, scope := range listing.Scopes {
		if scope.Err != nil {
			t.Errorf("%s: %v", scope.Name, scope.Err)
		}
		for _, vm := range scope.VMs {
			if vm.Name == "vm-0-3" && len(vm.Faults) == 0 {
				t.Errorf("nothing is said of a machine that is not there any more: %+v", vm)
			}
		}
	}
}

// TestALostRightIsNoEmptyScope: who may not see a group is told by Resource Graph that it
// is empty.
func TestALostRightIsNoEmptyScope(t *testing.T) {
	a := twoOf(t)
	groups := func(cfg *azure.Config) {
		cfg.Subscriptions = []azure.Subscription{{ID: subID(0), ResourceGroups: []string{"Mesh", "other"}}}
	}
	s := source(t, a, groups)
	a.Show(subID(0)+"/mesh", subID(0)+"/other")
	listing := list(t, s)
	if len(listing.Scopes) != 2 || listing.Scopes[0].Err != nil || len(listing.Scopes[0].VMs) != 18 || listing.Scopes[1].Err != nil || len(listing.Scopes[1].VMs) != 0 {
		t.Fatalf("%+v", listing.Scopes)
	}
	a.Show(subID(0) + "/other")
	listing = list(t, s)
	if err := listing.Scopes[0].Err; err == nil || !strings.Contains(err.Error(), "Reader") || listing.Scopes[1].Err != nil {
		t.Errorf("the lost one: %v; the other: %v", err, listing.Scopes[1].Err)
	}
}

// TestWhatRestsIsNotAskedFor: the others are listed, for what they alone cost, and it is
// all there again when its time has come.
func TestWhatRestsIsNotAskedFor(t *testing.T) {
	for _, by := range listings {
		t.Run(string(by), func(t *testing.T) {
			source := source(t, twoOf(t), twoSubscriptions(by))
			all := whole(t, source)
			calls := list(t, source).Calls
			first, second := "subscriptions/"+subID(0), "subscriptions/"+subID(1)
			for _, rest := range []discovery.Rest{{first: true}, {first: true}, {first: true, second: true}} {
				listing, err := source.List(t.Context(), rest, nil)
				if err != nil || len(listing.Scopes) != 2 {
					t.Fatalf("%+v, %v", listing, err)
				}
				want := 0
				for _, scope := range listing.Scopes {
					if scope.Rests != rest[scope.Name] || scope.Err != nil || !scope.Rests && len(scope.VMs) != 18 || scope.Rests && len(scope.VMs) > 0 {
						t.Errorf("with %v resting %s: rests %v, %d machines, %v", rest, scope.Name, scope.Rests, len(scope.VMs), scope.Err)
					}
					if !scope.Rests {
						want = calls/2 + calls%2
					}
				}
				if listing.Calls > want || want > 0 && listing.Calls == 0 {
					t.Errorf("with %v resting %d calls, want %d, half of %d", rest, listing.Calls, want, calls)
				}
			}
			if again := whole(t, source); !maps.EqualFunc(all, again, func(a, b mesh.VM) bool { return said(a) == said(b) }) {
				t.Errorf("after the rest %d machines, %d before", len(again), len(all))
			}
		})
	}
}
