package present

// Tone is what a text means, for those who see colours.
type Tone int

// The tones.
const (
	Plain Tone = iota
	Good
	Warn
	Bad
	Faint
)

// Palette paints text; the zero value leaves it as it is.
type Palette struct {
	Color bool
}

// Paint puts s into the colour of its tone (ECMA-48, section 8.3.117).
func (p Palette) Paint(tone Tone, s string) string {
	code := map[Tone]string{Good: "32", Warn: "33", Bad: "31", Faint: "2"}[tone]
	if !p.Color || code == "" || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
