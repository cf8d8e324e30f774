package mesh

import (
	"iter"
	"strings"
)

// mostDistance is how far apart a word and what was meant by it may be.
const mostDistance = 2

// Similar gives the one of names that a word was probably meant to be, or "".
func Similar(word string, names iter.Seq[string]) string {
	best, least := "", mostDistance+1
	for name := range names {
		if apart := len(word) - len(name); apart >= least || -apart >= least || name == word {
			continue
		}
		if d := distance(strings.ToLower(word), strings.ToLower(name)); d < least && d < len(name) {
			best, least = name, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap to make a of b
// (optimal string alignment).
func distance(a, b string) int {
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
