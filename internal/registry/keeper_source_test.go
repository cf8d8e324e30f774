package registry_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

const sourced = mesh.Keeper("kubernetes/sourced")

func TestAKeeperBelongsToOneSource(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	ctx := t.Context()
	note := func(source, instead string) error {
		return store.NoteKeeper(ctx, sourced, mesh.KeeperSource{Source: source, Instead: instead}, registry.Write{Author: "test"})
	}
	as := func(source string) registry.Write {
		return registry.Write{Keeper: sourced + "/shop/fenced", KeeperSource: source}
	}
	fenced := service("fenced")
	if _, err := store.PutService(ctx, fenced, as("first")); mesh.ReasonOf(err) != mesh.ReasonOtherSource {
		t.Errorf("a write for a keeper that is nobody's yet: %v", err)
	}
	for range 2 {
		if err := note("first", ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.PutService(ctx, fenced, as("first")); err != nil {
		t.Fatal(err)
	}
	set := func(source string, list ...mesh.Instance) error {
		_, err := store.KeepInstances(ctx, "fenced", list, registry.Write{Keeper: sourced, KeeperSource: source})
		return err
	}
	if err := set("first", pods("one")...); err != nil {
		t.Fatal(err)
	}
	if err := note("second", ""); mesh.ReasonOf(err) != mesh.ReasonOtherSource || !strings.Contains(err.Error(), `"first"`) {
		t.Errorf("a second source: %v", err)
	}
	if err := note("second", "third"); mesh.ReasonOf(err) != mesh.ReasonOtherSource {
		t.Errorf("in the place of a third: %v", err)
	}
	for what, err := range map[string]error{
		"a deletion": store.DeleteService(ctx, "fenced", as("second")), "an empty set": set("second"), "another set": set("second", pods("two")...),
		"a write": func() error { _, err := store.PutService(ctx, fenced, as("second")); return err }(),
	} {
		if mesh.ReasonOf(err) != mesh.ReasonOtherSource {
			t.Errorf("%s by the second: %v", what, err)
		}
	}
	if list, _, err := store.Instances(ctx, "fenced"); err != nil || len(list) != 1 || list[0].ID != "one" {
		t.Errorf("the first's instances are %v, %v", list, err)
	}
	for range 2 { // the flag that says it may stay where it is
		if err := note("second", "first"); err != nil {
			t.Errorf("in the place of the first: %v", err)
		}
	}
	if err := set("first"); mesh.ReasonOf(err) != mesh.ReasonOtherSource {
		t.Errorf("the first, whose place another took: %v", err)
	}
	if err := set("second", pods("two")...); err != nil {
		t.Errorf("the second: %v", err)
	}
	entries, err := store.Audit(ctx, registry.AuditQuery{Object: "keeper/" + string(sourced)})
	if err != nil || len(entries) != 2 || entries[0].Action != "adopt" || entries[1].Action != "note source" {
		t.Errorf("the audit has %+v, %v", entries, err)
	}
}

func TestOfSourcesThatComeAtOnceOneGetsTheKeeper(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	const many = 16
	got := make([]error, many)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			got[i] = store.NoteKeeper(t.Context(), sourced, mesh.KeeperSource{Source: fmt.Sprint("source-", i)}, registry.Write{})
		})
	}
	all.Wait()
	won := 0
	for _, err := range got {
		if err == nil {
			won++
		} else if mesh.ReasonOf(err) != mesh.ReasonOtherSource {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d sources got it", won)
	}
}

func TestWhoMayNoteTheSourceOfAKeeper(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	note := func(by registry.Token, source string) mesh.ErrorKind {
		return mesh.KindOf(store.NoteKeeper(t.Context(), sourced, mesh.KeeperSource{Source: source}, registry.Write{By: by}))
	}
	keeps := func(keeper mesh.Keeper) registry.Token {
		return registry.Token{Kind: registry.KeeperToken, Keeper: keeper}
	}
	for name, by := range map[string]registry.Token{
		"another keeper": keeps("kubernetes/prod"), "a namespace of it": keeps(sourced + "/shop"), "one whose name begins alike": keeps("kubernetes/source"),
		"an owner": {Owners: []string{"team-a"}}, "a service": {Service: "fenced"},
	} {
		if got := note(by, "mine"); got != mesh.KindDenied {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, wrong := range []string{"", "two words", strings.Repeat("x", 129), "é"} {
		if got := note(keeps(sourced), wrong); got != mesh.KindInvalid {
			t.Errorf("%q: %q", wrong, got)
		}
	}
	if got := note(keeps(sourced), "mine"); got != "" {
		t.Errorf("the keeper itself: %q", got)
	}
}

// One source of two keepers would have each of its objects twice.
func TestASourceHasOneKeeper(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	note := func(cluster, renamed string, by registry.Token) error {
		return store.NoteKeeper(t.Context(), mesh.OfCluster(cluster), mesh.KeeperSource{Source: "uid", Renamed: renamed}, registry.Write{By: by})
	}
	keeps := func(keeper mesh.Keeper) registry.Token {
		return registry.Token{Kind: registry.KeeperToken, Keeper: keeper}
	}
	every := keeps("kubernetes")
	if err := note("old", "", every); err != nil {
		t.Fatal(err)
	}
	for name, renamed := range map[string]string{"no rename": "", "another's rename": "third"} {
		if err := note("new", renamed, every); mesh.ReasonOf(err) != mesh.ReasonOtherName || !strings.Contains(err.Error(), "kubernetes/old") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := note("new", "old", keeps("kubernetes/new")); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("a rename by who has the new name only: %v", err)
	}
	if err := note("new", "No Name", every); mesh.KindOf(err) != mesh.KindInvalid {
		t.Errorf("a name that cannot be: %v", err)
	}
	for range 2 { // the flag that says it may stay where it is
		if err := note("new", "old", every); err != nil {
			t.Fatal(err)
		}
	}
	if err := note("new", "old", keeps("kubernetes/new")); err != nil {
		t.Errorf("once it is renamed, a token of the new name alone: %v", err)
	}
	_, err := store.PutService(t.Context(), service("late"), registry.Write{Keeper: "kubernetes/old/shop/late", KeeperSource: "uid"})
	if mesh.ReasonOf(err) != mesh.ReasonOtherSource {
		t.Errorf("a write by the name that was given up: %v", err)
	}
	if err := note("old", "", every); mesh.ReasonOf(err) != mesh.ReasonOtherName {
		t.Errorf("the name that was given up: %v", err)
	}
}

func TestOfNamesThatComeAtOnceASourceGetsOne(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	const many = 16
	got := make([]error, many)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			got[i] = store.NoteKeeper(t.Context(), mesh.OfCluster(fmt.Sprint("name-", i)), mesh.KeeperSource{Source: "uid"}, registry.Write{})
		})
	}
	all.Wait()
	won := 0
	for _, err := range got {
		if err == nil {
			won++
		} else if mesh.ReasonOf(err) != mesh.ReasonOtherName {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("it got %d names", won)
	}
}

// Of two names that a source was given before it could have but one, the first goes on,
// and the second gives it up or takes it over.
func TestOfTwoNamesFromBeforeTheFirstGoesOn(t *testing.T) {
	t.Parallel()
	etcd, store := startEtcd(t, t.TempDir())
	client := raw(t, etcd)
	for _, cluster := range []string{"first", "second"} {
		if _, err := client.Put(t.Context(), "/heddle/v1/keepers/kubernetes/"+cluster, `{"source":"uid"}`); err != nil {
			t.Fatal(err)
		}
	}
	note := func(cluster, renamed string) error {
		return store.NoteKeeper(t.Context(), mesh.OfCluster(cluster), mesh.KeeperSource{Source: "uid", Renamed: renamed}, registry.Write{})
	}
	if err := note("first", ""); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := note("second", ""); mesh.ReasonOf(err) != mesh.ReasonOtherName || !strings.Contains(err.Error(), "kubernetes/first") {
		t.Errorf("the second: %v", err)
	}
	if err := note("second", "first"); err != nil {
		t.Errorf("the second takes over: %v", err)
	}
	if keepers, _, err := store.Keepers(t.Context()); err != nil || len(keepers) != 1 || keepers[0] != "kubernetes/second" {
		t.Errorf("%v, %v", keepers, err)
	}
	if err := note("first", ""); mesh.ReasonOf(err) != mesh.ReasonOtherName {
		t.Errorf("the first, once it is given up: %v", err)
	}
}
