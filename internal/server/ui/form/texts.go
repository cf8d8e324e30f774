package form

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Texts is what stands in a form, by path. Beside the fields there are, at a
// path and a mark: of a row its place in the object that the form was opened with
// (#row), of an optional object whether it is there (#on), of alternatives which
// was chosen (#which), and what is being searched for (#find).
type Texts map[string]string

// The marks behind a path.
const (
	rowMark   = "#row"
	onMark    = "#on"
	whichMark = "#which"
	FindMark  = "#find"
	valueMark = "#value"
)

// Nothing is what #which of a deliberate list says when it is empty on purpose.
const Nothing = "nothing"

// Apart begins the names of what is posted beside the fields.
const Apart = "~"

// Read takes the texts out of a posted form: every field is named by its path.
// Several values of one name are lines. More than a form of these items holds is
// refused, with an [Excess].
func Read(items []Item, posted url.Values) (Texts, error) {
	t, fields := Texts{}, 0
	for name, values := range posted {
		if fields += len(values); fields > mostFields {
			return nil, tooManyFields(fields)
		}
		if strings.HasPrefix(name, Apart) {
			continue
		}
		if text := plain(strings.Join(values, "\n")); text != "" || strings.HasSuffix(name, rowMark) {
			t[name] = text
		}
	}
	return t, t.Bounded(items)
}

// plain undoes what forms do to the ends of lines (HTML, "form submission").
func plain(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}

func at(list string, index int) string { return list + "[" + strconv.Itoa(index) + "]" }

// Rows is how many rows a list has.
func (t Texts) Rows(list string) int {
	for n := 0; ; n++ {
		if _, is := t[at(list, n)+rowMark]; !is {
			return n
		}
	}
}

// AddRow puts an empty row at the end of a list, and gives its path.
func (t Texts) AddRow(list string) string {
	row := at(list, t.Rows(list))
	t[row+rowMark] = ""
	return row
}

// RemoveRow takes a row out; those behind it move up.
func (t Texts) RemoveRow(list string, index int) {
	rows := t.Rows(list)
	if index < 0 || index >= rows {
		return
	}
	for ; index < rows-1; index++ {
		t.swap(at(list, index), at(list, index+1))
	}
	for name := range t {
		if inRow(name, at(list, rows-1)) {
			delete(t, name)
		}
	}
}

// RaiseRow moves a row before the one that is before it.
func (t Texts) RaiseRow(list string, index int) {
	if index > 0 && index < t.Rows(list) {
		t.swap(at(list, index-1), at(list, index))
	}
}

func inRow(name, row string) bool {
	rest, is := strings.CutPrefix(name, row)
	return is && (rest == "" || strings.ContainsRune(".#[", rune(rest[0])))
}

func (t Texts) swap(a, b string) {
	moved := Texts{}
	for name, text := range t {
		switch {
		case inRow(name, a):
			moved[b+name[len(a):]] = text
		case inRow(name, b):
			moved[a+name[len(b):]] = text
		default:
			continue
		}
		delete(t, name)
	}
	for name, text := range moved {
		t[name] = text
	}
}

// Names gives the entries of a list of strings.
func (t Texts) Names(path string) []string { return lines(t[path]) }

// AddName puts a name at the end of a list of them, unless it is in it.
func (t Texts) AddName(path, name string) {
	name = strings.TrimSpace(name)
	if all := t.Names(path); name != "" && !slices.Contains(all, name) {
		t[path] = strings.Join(append(all, name), "\n")
	}
}

// RemoveName takes a name out of a list of them.
func (t Texts) RemoveName(path, name string) {
	t[path] = strings.Join(slices.DeleteFunc(t.Names(path), func(one string) bool { return one == name }), "\n")
}

// lines gives the lines of a text that say something.
func lines(text string) []string {
	out := []string{}
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// Kept is one text to be carried along in a page.
type Kept struct{ Name, Text string }

// Kept gives all texts, sorted by name.
func (t Texts) Kept() []Kept {
	out := make([]Kept, 0, len(t))
	for name, text := range t {
		out = append(out, Kept{name, text})
	}
	slices.SortFunc(out, func(a, b Kept) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
