package cloudinit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// writer is what a document is written with.
type writer interface {
	text(string)
	value(name string)               // as it is; checked
	encoded(name string)             // in base64, for text of any kind
	when(name string, then func())   // only if the variable is not empty
	unless(name string, then func()) // only if it is
}

// filled writes a document with values.
type filled struct {
	strings.Builder
	values  map[string]string
	used    map[string]bool
	refused map[string]bool // told already
	faults  []error
}

func (f *filled) text(s string) { f.WriteString(s) }

func (f *filled) value(name string) {
	value := f.values[name]
	if err := find(name).check(value); err != nil && !f.refused[name] {
		f.faults, f.refused[name] = append(f.faults, err), true
	}
	f.used[name] = true
	f.WriteString(value)
}

func (f *filled) encoded(name string) {
	f.used[name] = true
	f.WriteString(base64.StdEncoding.EncodeToString([]byte(f.values[name])))
}

func (f *filled) when(name string, then func()) {
	if f.values[name] != "" {
		then()
	}
	f.used[name] = true
}

func (f *filled) unless(name string, then func()) {
	if f.values[name] == "" {
		then()
	}
	f.used[name] = true
}

// unused are the faults of values that the document has no place for.
func (f *filled) unused() (faults []error) {
	for _, v := range variables {
		if f.values[v.Name] != "" && !f.used[v.Name] {
			faults = append(faults, fmt.Errorf("%s is not for this role, or not beside the other flags: leave it out", v.Flag()))
		}
	}
	return faults
}

// Config is the cloud-config of a machine, with values by the names of variables. All
// that is wrong with them is told at once.
func Config(role Role, values map[string]string) (string, error) {
	f := &filled{values: values, used: map[string]bool{}, refused: map[string]bool{}}
	write(f, role)
	if err := errors.Join(append(f.faults, f.unused()...)...); err != nil {
		return "", err
	}
	return f.String(), nil
}

// template writes a document with expressions of Terraform in the places of values.
type template struct{ strings.Builder }

func (t *template) text(s string) {
	t.WriteString(strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s))
}

// regex gives the text that matched, here all of it, and fails if there is none.
func (t *template) value(name string) {
	fmt.Fprintf(t, "${regex(%s, %s)}", strconv.Quote(find(name).whole()), name)
}

func (t *template) encoded(name string) { fmt.Fprintf(t, "${base64encode(%s)}", name) }

func (t *template) when(name string, then func())   { t.branch(name+` != ""`, then) }
func (t *template) unless(name string, then func()) { t.branch(name+` == ""`, then) }

// branch takes the end of its lines away: what is left out leaves no empty ones.
func (t *template) branch(condition string, then func()) {
	t.WriteString("%{ if " + condition + " ~}\n")
	then()
	t.WriteString("%{ endif ~}\n")
}

// Template is the same document for Terraform's templatefile.
func Template(role Role) string {
	t := &template{}
	write(t, role)
	return t.String()
}
