package hosts

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostReason is how many bytes a reason has at most.
const mostReason = 120

// ShortReason makes a reason fit to be told to all hosts: one line of signs that can be
// printed, of 120 bytes at most.
func ShortReason(text string) string {
	text = text[:min(len(text), 8*mostReason)]
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= mostReason {
		return text
	}
	cut := mostReason - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
