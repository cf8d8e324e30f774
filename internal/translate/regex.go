package translate

import (
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// maxProgram is the size of a compiled pattern, in RE2's instructions, that
// the sidecars' bootstrap allows; Envoy refuses routes with a larger one.
const maxProgram = 20_000

// ruleFault says why Envoy would refuse a rule that passed validation, or "".
func ruleFault(rule *mesh.RouteRule) string {
	var patterns []string
	if path := rule.Match.Path; path != nil {
		patterns = append(patterns, path.Regex)
	}
	for _, header := range rule.Match.Headers {
		patterns = append(patterns, header.Regex)
	}
	if len(rule.Match.Methods) > 1 {
		patterns = append(patterns, strings.Join(rule.Match.Methods, "|"))
	}
	for _, pattern := range patterns {
		if fault := patternFault(pattern); fault != "" {
			return fmt.Sprintf("Envoy would refuse the pattern %.60q: %s", pattern, fault)
		}
	}
	return ""
}

// patternFault says what of a pattern that Go's regexp takes Envoy's RE2 does not, or "".
func patternFault(pattern string) string {
	if pattern == "" {
		return ""
	}
	if escape := foreignEscape(pattern); escape != "" {
		return "it does not know " + escape
	}
	if size := programSize(pattern); size > maxProgram {
		return fmt.Sprintf("once compiled it may need %d instructions, and %d are allowed", size, maxProgram)
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

// programSize bounds RE2's program for a pattern from above. Go's compiler is
// RE2's, but counts characters where RE2 counts bytes: a range of characters
// above ASCII becomes up to a handful of byte ranges for each of its ends.
func programSize(pattern string) int {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return maxProgram + 1
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
