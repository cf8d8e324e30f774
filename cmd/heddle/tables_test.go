package main

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/present"
)

// A service that calls a hundred others does not fill the screen.
func TestLongListsAreCut(t *testing.T) {
	for want, names := range map[string][]string{
		"":                                   nil,
		"a,b":                                {"a", "b"},
		"x,x,x,x,x,x,x,x,+992 more":          strings.Split(strings.Repeat("x,", 999)+"x", ","),
		strings.Repeat("y", 90) + ",+1 more": {strings.Repeat("y", 90), strings.Repeat("z", 90)},
	} {
		if got := present.CutList(names); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
