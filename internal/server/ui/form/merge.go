package form

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Difference is a field that is not the same in an object as two people have it.
type Difference struct {
	Path              string
	Was, Theirs, Mine string // as text; "" for nothing
	MineChanged       bool   // by whoever asks
	TheirsChanged     bool   // by the other
}

// Clash says that both changed it, each otherwise.
func (d *Difference) Clash() bool { return d.MineChanged && d.TheirsChanged }

// merger finds differences, and puts together what is to become of them.
type merger struct {
	units []string // paths that are one field, whatever they hold
	mine  func(path string) bool
	found []Difference
}

// Merge puts together what two people made of one object of the model: a field
// that one of them changed is as that one has it, and of those that both changed,
// mine says whose is taken. Lists of names are merged name by name; other lists,
// and what stands below the paths units, are one field each. Fields named meta are
// theirs.
func Merge[T any](was, theirs, mine T, units []string, takeMine func(path string) bool) (T, []Difference) {
	merged := theirs
	m := merger{units: units, mine: takeMine}
	m.value("", reflect.ValueOf(&merged).Elem(), reflect.ValueOf(was), reflect.ValueOf(theirs), reflect.ValueOf(mine))
	return merged, m.found
}

func (m *merger) value(path string, merged, was, theirs, mine reflect.Value) {
	switch {
	case slices.Contains(m.units, path):
	case merged.Kind() == reflect.Struct:
		m.fields(path, merged, was, theirs, mine)
		return
	case merged.Kind() == reflect.Pointer && !was.IsNil() && !theirs.IsNil() && !mine.IsNil():
		made := reflect.New(merged.Type().Elem())
		made.Elem().Set(theirs.Elem())
		merged.Set(made)
		m.fields(path, made.Elem(), was.Elem(), theirs.Elem(), mine.Elem())
		return
	case merged.Kind() == reflect.Slice && merged.Type().Elem().Kind() == reflect.String:
		m.names(path, merged, was, theirs, mine)
		return
	}
	m.leaf(path, merged, was, theirs, mine)
}

func (m *merger) fields(path string, merged, was, theirs, mine reflect.Value) {
	for i := range merged.NumField() {
		name, _, _ := strings.Cut(merged.Type().Field(i).Tag.Get("json"), ",")
		if name == "meta" || name == "-" {
			continue
		}
		m.value(below(path, name), merged.Field(i), was.Field(i), theirs.Field(i), mine.Field(i))
	}
}

func (m *merger) leaf(path string, merged, was, theirs, mine reflect.Value) {
	d := Difference{Path: path, Was: told(was), Theirs: told(theirs), Mine: told(mine)}
	if d.Theirs == d.Mine {
		return
	}
	d.MineChanged, d.TheirsChanged = d.Mine != d.Was, d.Theirs != d.Was
	m.found = append(m.found, d)
	if d.MineChanged && (!d.TheirsChanged || m.mine(path)) {
		merged.Set(mine)
	}
}

// names merges sets: what one has added is added, what one has taken out is taken out.
func (m *merger) names(path string, merged, was, theirs, mine reflect.Value) {
	has := func(list reflect.Value, name string) bool {
		for i := range list.Len() {
			if list.Index(i).String() == name {
				return true
			}
		}
		return false
	}
	out := reflect.MakeSlice(merged.Type(), 0, theirs.Len())
	for i := range theirs.Len() {
		one := theirs.Index(i)
		if name := one.String(); has(was, name) && !has(mine, name) {
			m.found = append(m.found, Difference{Path: path + ": " + name, Was: "listed", Theirs: "listed", MineChanged: true})
			continue
		} else if !has(was, name) && !has(mine, name) {
			m.found = append(m.found, Difference{Path: path + ": " + name, Theirs: "listed", TheirsChanged: true})
		}
		out = reflect.Append(out, one)
	}
	for i := range mine.Len() {
		name := mine.Index(i).String()
		switch {
		case has(theirs, name):
		case has(was, name):
			m.found = append(m.found, Difference{Path: path + ": " + name, Was: "listed", Mine: "listed", TheirsChanged: true})
		default:
			m.found = append(m.found, Difference{Path: path + ": " + name, Mine: "listed", MineChanged: true})
			out = reflect.Append(out, mine.Index(i))
		}
	}
	if out.Len() == 0 && theirs.IsNil() {
		return
	}
	merged.Set(out)
}

// told writes a value for people; "" is nothing.
func told(v reflect.Value) string {
	if v.IsZero() {
		return ""
	}
	if s, is := v.Interface().(fmt.Stringer); is {
		return s.String()
	}
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool, reflect.Int, reflect.Float64:
		return fmt.Sprint(v.Interface())
	}
	var text strings.Builder
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false) // it is read by people; the template escapes it
	out.SetIndent("", "  ")
	if err := out.Encode(v.Interface()); err != nil {
		return fmt.Sprintf("%+v", v.Interface())
	}
	return strings.TrimSuffix(text.String(), "\n")
}
