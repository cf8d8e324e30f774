package present

import (
	"strings"
	"unicode/utf8"
)

// Wrap breaks a text between words into lines of at most so many letters; a word
// that is longer has a line of its own.
func Wrap(text string, most int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > most:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
