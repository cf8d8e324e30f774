package ui

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
)

func TestFiftyWhoAskAtOnceShareTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m moment[string, int]
		view, now := catalog.New(catalog.Config{}).View(), time.Now()
		begun, made := 0, make(chan struct{})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				got, err := m.get(view, now, "a", func() (int, error) {
					begun++ // by one of them: the race detector says if not
					<-made
					return 7, nil
				})
				if got != 7 || err != nil {
					t.Errorf("%d %v", got, err)
				}
			})
		}
		synctest.Wait() // until all of them wait
		close(made)
		all.Wait()
		if begun != 1 {
			t.Errorf("it was made %d times", begun)
		}
	})
}

func TestWhatIsSharedIsOfTheViewTheSecondAndTheKey(t *testing.T) {
	var m moment[string, int]
	one, other := catalog.New(catalog.Config{}).View(), catalog.New(catalog.Config{}).View()
	now := time.Unix(1000, 0)
	made := 0
	for _, c := range []struct {
		name string
		view *catalog.View
		now  time.Time
		key  string
		want int
	}{
		{"the first", one, now, "a", 1},
		{"the same", one, now.Add(900 * time.Millisecond), "a", 1},
		{"another key", one, now, "b", 2},
		{"the same once more", one, now, "a", 1},
		{"the next second", one, now.Add(time.Second), "a", 3},
		{"another view", other, now.Add(time.Second), "a", 4},
	} {
		got, err := m.get(c.view, c.now, c.key, func() (int, error) { made++; return made, nil })
		if got != c.want || err != nil {
			t.Errorf("%s: %d %v, want %d", c.name, got, err, c.want)
		}
	}
}

func TestWhoComesLateTakesNothingFromTheOthers(t *testing.T) {
	known := catalog.New(catalog.Config{})
	older := known.View()
	known.Apply(2, true, nil)
	newer, now := known.View(), time.Unix(1000, 0)
	for name, late := range map[string]struct {
		view *catalog.View
		now  time.Time
	}{
		"an older second":                {newer, now.Add(-time.Second)},
		"an older view":                  {older, now},
		"both":                           {older, now.Add(-time.Second)},
		"an older view, asked for later": {older, now.Add(time.Second)},
	} {
		var m moment[string, int]
		made := 0
		get := func(view *catalog.View, now time.Time, key string) int {
			got, err := m.get(view, now, key, func() (int, error) { made++; return made, nil })
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		first := get(newer, now, "a")
		if got := get(late.view, late.now, "a"); got != first {
			t.Errorf("%s is given %d, not what is newer", name, got)
		}
		if got := get(late.view, late.now, "b"); got != 2 {
			t.Errorf("%s makes %d", name, got)
		}
		if got := get(newer, now, "a"); got != first {
			t.Errorf("%s had what others share made anew", name)
		}
		if got := get(newer, now, "b"); got != 3 {
			t.Errorf("%s gave others what is older: %d", name, got)
		}
	}
}

func TestWhatIsSharedIsBounded(t *testing.T) {
	var m moment[int, int]
	view := catalog.New(catalog.Config{}).View()
	for i := range 10 * keptInMoment {
		if got, err := m.get(view, time.Unix(1, 0), i, func() (int, error) { return i, nil }); got != i || err != nil {
			t.Fatal(got, err)
		}
		if len(m.made) > keptInMoment {
			t.Fatalf("%d are kept", len(m.made))
		}
	}
}

func TestNobodyWaitsForWhatPanicked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m moment[string, int]
		view, now := catalog.New(catalog.Config{}).View(), time.Now()
		fail := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			defer func() { _ = recover() }()
			_, _ = m.get(view, now, "a", func() (int, error) { <-fail; panic("a fault of ours") })
		})
		synctest.Wait()
		all.Go(func() {
			if _, err := m.get(view, now, "a", nil); !errors.Is(err, errUnmade) {
				t.Error(err)
			}
		})
		synctest.Wait()
		close(fail)
		all.Wait()
	})
}
