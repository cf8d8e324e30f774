package translate

import (
	"fmt"
	"regexp/syntax"
	"strings"
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
		if pattern == "" {
			continue
		}
		if size := programSize(pattern); size > maxProgram {
			return fmt.Sprintf("a pattern is too large once compiled (%.60q): Envoy allows %d instructions, and it may need %d", pattern, maxProgram, size)
		}
	}
	return ""
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
