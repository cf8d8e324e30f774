package mesh

import (
	"fmt"
	"strings"
)

// Cut makes outside text fit to be shown: valid UTF-8 of at most so many bytes,
// and an ellipsis where more was. Control characters stay.
func Cut(s string, most int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// quote shows outside input in an error: escaped, and cut when it is long.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%+q… (%d bytes)", strings.ToValidUTF8(s[:most], "?"), len(s))
	}
	return fmt.Sprintf("%+q", s)
}
