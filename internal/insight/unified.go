package insight

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/translate"
)

const (
	diffContext = 3         // lines before and behind a change
	diffLines   = 400       // that a diff is cut to
	diffCells   = 4_000_000 // beyond which lines are not matched one by one
)

// unified compares two messages, nil for none, as JSON: "-" and "+" before the lines
// that differ, " " before those around them.
func unified(before, after proto.Message) string {
	a, b := lines(before), lines(after)
	out := hunks(edits(a, b))
	if more := len(out) - diffLines; more > 0 {
		out = append(out[:diffLines:diffLines], fmt.Sprintf("… %d more lines", more))
	}
	return strings.Join(out, "\n")
}

// lines writes a message as JSON for people, with nothing secret in it.
func lines(m proto.Message) []string {
	if m == nil {
		return nil
	}
	data, err := translate.Readable(m)
	if err != nil {
		return []string{err.Error()}
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return []string{err.Error()}
	}
	return strings.Split(out.String(), "\n")
}

// edits makes b of a: each line with " ", "-" or "+" before it, by the longest
// sequence of lines that both have.
func edits(a, b []string) []string {
	var out []string
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		out = append(out, " "+a[same])
		same++
	}
	a, b = a[same:], b[same:]
	tail := 0
	for tail < len(a) && tail < len(b) && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	behind := a[len(a)-tail:]
	a, b = a[:len(a)-tail], b[:len(b)-tail]
	out = append(out, between(a, b)...)
	for _, line := range behind {
		out = append(out, " "+line)
	}
	return out
}

func between(a, b []string) []string {
	var out []string
	if len(a)*len(b) > diffCells {
		for _, line := range a {
			out = append(out, "-"+line)
		}
		for _, line := range b {
			out = append(out, "+"+line)
		}
		return out
	}
	// longest[i][j] is how many lines a[i:] and b[j:] have in common.
	longest := make([][]int32, len(a)+1)
	for i := range longest {
		longest[i] = make([]int32, len(b)+1)
	}
	for i, one := range slices.Backward(a) {
		for j, other := range slices.Backward(b) {
			if one == other {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, " "+a[i])
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || longest[i+1][j] >= longest[i][j+1]):
			out = append(out, "-"+a[i])
			i++
		default:
			out = append(out, "+"+b[j])
			j++
		}
	}
	return out
}

// hunks leaves of the lines that are the same only those near a change, with "@@"
// where some are left out.
func hunks(all []string) []string {
	near := make([]bool, len(all))
	for i, line := range all {
		if line[0] != ' ' {
			for j := max(0, i-diffContext); j < min(len(all), i+diffContext+1); j++ {
				near[j] = true
			}
		}
	}
	var out []string
	for i, line := range all {
		if near[i] {
			if i > 0 && !near[i-1] {
				out = append(out, "@@")
			}
			out = append(out, line)
		}
	}
	return out
}
