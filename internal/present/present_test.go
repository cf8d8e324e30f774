package present_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/present"
	"github.com/heddle-mesh/heddle/internal/propertytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 世界":            "plain é 世界",
		"\x1b[31mred\x1b]0;t\a": `\x1b[31mred\x1b]0;t\x07`,
		"a\nb\tc\r":             `a\nb\tc\x0d`,
		"\u009b2J":              `\x9b2J`,
		"\x9b\xff":              `\x9b\xff`,
		"a\u202eb\u2066\ufeff":  `a\u202eb\u2066\ufeff`,
		"\x7f":                  `\x7f`,
	} {
		if got := present.Safe(in); got != want {
			t.Errorf("Safe(%q) = %q, want %q", in, got, want)
		}
	}
	if got := present.SafeLines("a\x1b\nb"); got != "a\\x1b\nb" {
		t.Errorf("SafeLines: %q", got)
	}
}

func TestSafeLeavesNothingToActUpon(t *testing.T) {
	propertytest.Check(t, func(t *rapid.T) {
		safe := present.Safe(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
		if strings.ContainsFunc(safe, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffd }) {
			t.Errorf("%q", safe)
		}
		if again := present.Safe(safe); again != safe {
			t.Errorf("%q became %q", safe, again)
		}
	})
}

func TestTable(t *testing.T) {
	table := present.NewTable(present.Palette{}, "NAME", "OWNER", "PORT")
	table.Add(present.Text("orders", "", "80")...)
	table.Add(present.Text("ü", "team\x1b", "443")...)
	want := "NAME     OWNER      PORT\norders   -          80\nü        team\\x1b   443\n"
	var b strings.Builder
	if err := table.Write(&b); err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
	}
}

func TestColoursDoNotMoveColumns(t *testing.T) {
	write := func(p present.Palette) string {
		table := present.NewTable(p, "A", "B")
		table.Add(present.Cell{Text: "bad", Tone: present.Bad}, present.Cell{Text: "x"})
		var b strings.Builder
		if err := table.Write(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	colored := write(present.Palette{Color: true})
	if !strings.Contains(colored, "\x1b[31mbad\x1b[0m") {
		t.Errorf("no colour: %q", colored)
	}
	bare := strings.NewReplacer("\x1b[31m", "", "\x1b[2m", "", "\x1b[0m", "").Replace(colored)
	if bare != write(present.Palette{}) {
		t.Errorf("%q", bare)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 850 * time.Millisecond: "850ms", 90 * time.Second: "90s", 5 * time.Minute: "5m", 3 * time.Hour: "3h", 100 * time.Hour: "4d",
	} {
		if got := present.Age(d); got != want {
			t.Errorf("Age(%s) = %s, want %s", d, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	got := present.Wrap("a word  and-one-that-is-long é b", 6)
	if strings.Join(got, "|") != "a word|and-one-that-is-long|é b" {
		t.Errorf("%q", got)
	}
	if got := present.Wrap("", 6); len(got) != 1 || got[0] != "" {
		t.Errorf("of nothing: %q", got)
	}
}
