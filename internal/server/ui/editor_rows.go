package ui

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/server/ui/form"
)

// arrange changes the rows of lists and the names in them, and gives the path of
// what is to be looked at next.
func (d *draft[T]) arrange(do, what string) (focus string) {
	list, index := rowOf(what)
	switch do {
	case "add-row":
		return d.texts.AddRow(what)
	case "remove-row":
		d.texts.RemoveRow(list, index)
		return list
	case "raise-row":
		d.texts.RaiseRow(list, index)
		return what
	case "add-name":
		path, name, _ := strings.Cut(what, ":")
		d.texts.AddName(path, cmp.Or(name, d.texts[path+form.FindMark]))
		delete(d.texts, path+form.FindMark)
		return path
	case "remove-name":
		path, name, _ := strings.Cut(what, ":")
		d.texts.RemoveName(path, name)
		return path
	case "find":
		return what
	}
	return ""
}

// rowOf takes the path of a row apart.
func rowOf(path string) (list string, index int) {
	open := strings.LastIndex(path, "[")
	if open < 0 {
		return path, -1
	}
	index, err := strconv.Atoi(strings.TrimSuffix(path[open+1:], "]"))
	if err != nil {
		return path, -1
	}
	return path[:open], index
}
