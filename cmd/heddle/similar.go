package main

import (
	"fmt"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// didYouMean asks whether one of names was meant, or gives "".
func didYouMean(word string, names []string) string {
	best := mesh.Similar(word, slices.Values(names))
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}
