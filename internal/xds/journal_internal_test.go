package xds

import (
	"testing"
	"time"
)

func TestJournalFindsAnUpdateByItsMoment(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	var j journal
	if _, ok := j.find(start); ok {
		t.Error("an empty journal found something")
	}
	for n := range 10 {
		j.note(noted{at: at(2 * n), written: at(2*n - 1)})
	}
	if got, ok := j.find(at(6)); !ok || !got.written.Equal(at(5)) {
		t.Errorf("found %v %v", got, ok)
	}
	if _, ok := j.find(at(7)); ok {
		t.Error("an event between two updates was taken for one of them")
	}
	if _, ok := j.find(at(-1)); ok {
		t.Error("something from before the first update was found although nothing was forgotten")
	}
}

// What was forgotten is given its own moment, so that a proxy that answers late is
// not left out of the figures.
func TestJournalThatForgotGivesTheMomentItself(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	var j journal
	for n := range journalSize + 10 {
		at := start.Add(time.Duration(n) * time.Millisecond)
		j.note(noted{at: at, written: at.Add(-time.Second)})
	}
	if got, ok := j.find(start); !ok || !got.written.Equal(start) {
		t.Errorf("found %v %v", got, ok)
	}
	newest := start.Add((journalSize + 9) * time.Millisecond)
	if got, ok := j.find(newest); !ok || !got.written.Equal(newest.Add(-time.Second)) {
		t.Errorf("the newest is %v %v", got, ok)
	}
	oldest := start.Add(10 * time.Millisecond)
	if got, ok := j.find(oldest); !ok || !got.written.Equal(oldest.Add(-time.Second)) {
		t.Errorf("the oldest is %v %v", got, ok)
	}
}
