package form

import (
	"cmp"
	"fmt"
)

// Bounds of what is posted: above what any object of the model holds, and below
// what it costs a server to draw.
const (
	mostFields = 4000
	mostRows   = 200
	mostNames  = 1100
)

// Excess is more in a form than anybody fills in.
type Excess struct{ Message string }

func (e *Excess) Error() string { return e.Message }

// Bounded refuses, with an [Excess], what is more than the fields of a form hold.
func (t Texts) Bounded(items []Item) error {
	if len(t) > mostFields {
		return tooManyFields(len(t))
	}
	return t.bounded(items, "")
}

func tooManyFields(n int) error {
	return &Excess{fmt.Sprintf("It has %d fields, and a form has %d at most.", n, mostFields)}
}

func (t Texts) bounded(items []Item, prefix string) error {
	for i := range items {
		one, path := &items[i], below(prefix, items[i].Path)
		switch one.Kind {
		case Names, Deliberate:
			if n := len(t.Names(path)); n > mostNames {
				return &Excess{fmt.Sprintf("%s has %d names, and a form takes %d at most.", one.Label, n, mostNames)}
			}
		case List:
			rows := t.Rows(path)
			if most := cmp.Or(one.Most, mostRows); rows > most {
				return &Excess{fmt.Sprintf("%s has %d rows, and a form takes %d at most.", one.Label, rows, most)}
			}
			for row := range rows {
				if err := t.bounded(one.Items, at(path, row)); err != nil {
					return err
				}
			}
		default:
			if err := t.bounded(one.Items, path); err != nil {
				return err
			}
		}
	}
	return nil
}
