package main

import (
	"fmt"
	"strings"
)

// didYouMean names the one of names that word was probably meant to be, or
// gives "".
func didYouMean(word string, names []string) string {
	best, distance := "", 3
	for _, name := range names {
		d := editDistance(strings.ToLower(word), strings.ToLower(name))
		if d < distance && d < len(name) && name != word {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// editDistance counts the letters to insert, delete, replace or swap to make a
// of b (optimal string alignment).
func editDistance(a, b string) int {
	var older []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
		older, last = last, row
	}
	return last[len(b)]
}
