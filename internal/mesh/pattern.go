package mesh

import (
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxProgram is the size of a compiled pattern, in RE2's instructions, that
// the sidecars' bootstrap allows; Envoy refuses routes with a larger one.
const maxProgram = 20_000

// maxPrograms bounds all patterns of one object together. There is room for ten
// thousand of them in one request: without a bound they cost half a minute each
// time that the object is read, and gigabytes in each caller's sidecar.
const maxPrograms = 10 * maxProgram

// perClass is what a Unicode class (\pL) counts for beside what it is compiled
// to: to parse it takes as long, also where nothing is left of it, as in [^\pL\PL].
const perClass = 300

// patterns are those of one object, as they are validated one by one.
type patterns struct {
	size int // of those so far, the refused ones too: they took their time
}

// fault holds a pattern to what Envoy's RE2 takes, whose syntax Go's regexp
// shares but for a few escapes. Once there are too many, which it says at the
// first of them, it looks at no other.
func (p *patterns) fault(pattern string) string {
	if pattern == "" || p.size > maxPrograms {
		return ""
	}
	if len(pattern) > 1000 {
		return fmt.Sprintf("has %d bytes; at most 1000 are allowed", len(pattern))
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		p.size += len(pattern)
		return fmt.Sprintf("is not a regular expression (RE2): %v", err)
	}
	if escape := foreignEscape(pattern); escape != "" {
		return fmt.Sprintf("is not a regular expression (RE2): it does not know %s; write the character itself, or a class such as \\p{Greek} or \\pL", quote(escape))
	}
	size := programSize(parsed)
	p.size += size + perClass*strings.Count(strings.ToLower(pattern), `\p`)
	switch {
	case size > maxProgram:
		return fmt.Sprintf("is too large: once compiled it may need %d instructions, and %d are allowed; repeat less, or match fewer kinds of characters", size, maxProgram)
	case p.size > maxPrograms:
		return fmt.Sprintf("is too much: with those before it, once compiled, it may need %d instructions, and %d are allowed for all regular expressions together", p.size, maxPrograms)
	}
	return ""
}

// foreignEscape finds an escape that only Go knows: of a character above 0xFF,
// for Envoy matches bytes (the character itself may stand in the pattern), or
// of a Unicode class by a name that is new in Go.
func foreignEscape(pattern string) string {
	for rest := pattern; ; {
		_, escape, found := strings.Cut(rest, `\`)
		switch {
		case !found || escape == "":
			return ""
		case escape[0] == 'Q':
			_, rest, _ = strings.Cut(escape, `\E`)
			continue
		case strings.HasPrefix(escape, "x{"):
			digits, _, _ := strings.Cut(escape[2:], "}")
			if code, err := strconv.ParseUint(digits, 16, 32); err != nil || code > 0xFF {
				return `\x{` + digits + "}"
			}
		case strings.HasPrefix(escape, "p{"), strings.HasPrefix(escape, "P{"):
			name, _, _ := strings.Cut(escape[2:], "}")
			if !knownClass(strings.TrimPrefix(name, "^")) {
				return `\` + escape[:2] + name + "}"
			}
		}
		rest = escape[1:]
	}
}

func knownClass(name string) bool {
	if name == "LC" || name == "Cn" { // RE2 has these two not
		return false
	}
	_, script := unicode.Scripts[name]
	_, category := unicode.Categories[name]
	return script || category || name == "Any"
}

// leastSize bounds what [programSize] counts from below: each character, range
// of characters, assertion and end of a group, with repetitions written out.
func leastSize(part *syntax.Regexp) int {
	size := len(part.Rune)
	switch part.Op {
	case syntax.OpCharClass:
		size /= 2
	case syntax.OpCapture:
		size = 2
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpWordBoundary, syntax.OpNoWordBoundary,
		syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText:
		size = 1
	}
	for _, sub := range part.Sub {
		size += leastSize(sub)
	}
	if part.Op == syntax.OpRepeat {
		size *= max(part.Min, part.Max)
	}
	return size
}

// programSize bounds RE2's program for a pattern from above. Go's compiler is
// RE2's, but counts characters where RE2 counts bytes: a range of characters
// above ASCII becomes up to a handful of byte ranges for each of its ends.
// A pattern that is too large by its form alone is not compiled: that can take
// half a second, and there is room for a thousand of them in one request.
func programSize(parsed *syntax.Regexp) int {
	if size := leastSize(parsed); size > maxProgram {
		return size
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return maxProgram + 1
	}
	const perWideRange = 12
	size := 0
	for i := range program.Inst {
		one := &program.Inst[i]
		size++
		switch one.Op {
		case syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			size += perWideRange
		case syntax.InstRune, syntax.InstRune1:
			for j := 0; j < len(one.Rune); j += 2 {
				last := one.Rune[min(j+1, len(one.Rune)-1)]
				if last < utf8.RuneSelf && syntax.Flags(one.Arg)&syntax.FoldCase == 0 {
					size++
				} else {
					size += perWideRange
				}
			}
		}
	}
	return size
}
