package form

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// builder puts texts into an object.
type builder struct {
	texts  Texts
	faults mesh.Faults
}

// Build makes an object of the model out of what was typed, upon the object that
// the form was opened with. What cannot be read is left out, with a fault. With
// faults, into may be used to find more of them.
func (t Texts) Build(items []Item, upon, into any) (mesh.Faults, error) {
	before, err := treeOf(upon)
	if err != nil {
		return nil, err
	}
	b := builder{texts: t}
	data, err := json.Marshal(b.build(items, "", before))
	if err != nil {
		return nil, err
	}
	return b.faults, mesh.Decode(data, into)
}

// build makes an object of the items below a path; before is what it was, nil for
// nothing.
func (b *builder) build(items []Item, prefix string, before object) object {
	out := maps.Clone(before)
	if out == nil {
		out = object{}
	}
	for i := range items {
		b.buildOne(&items[i], below(prefix, items[i].Path), before, out)
	}
	return out
}

func (b *builder) buildOne(one *Item, path string, before, out object) {
	was := find(before, one.Path)
	inner, _ := was.(object)
	switch one.Kind {
	case Section, Group:
		if one.Path == "" {
			for i := range one.Items {
				b.buildOne(&one.Items[i], below(path, one.Items[i].Path), before, out)
			}
			return
		}
		put(out, one.Path, b.build(one.Items, path, inner))
	case Optional:
		if b.texts[path+onMark] == "" {
			put(out, one.Path, nil)
			return
		}
		put(out, one.Path, b.build(one.Items, path, inner))
	case Either:
		made := maps.Clone(inner)
		if made == nil {
			made = object{}
		}
		for i := range one.Items {
			alternative := &one.Items[i]
			if b.texts[path+whichMark] != alternative.Path {
				put(made, alternative.Path, nil)
				continue
			}
			b.buildOne(alternative, below(path, alternative.Path), inner, made)
		}
		put(out, one.Path, made)
	case List:
		put(out, one.Path, b.rows(one, path, was))
	case OneOf:
		b.oneOf(one, path, inner, out)
	default:
		put(out, one.Path, b.value(one, path, was))
	}
}

func (b *builder) rows(one *Item, path string, was any) any {
	before, _ := was.([]any)
	rows := []any{}
	for i := range b.texts.Rows(path) {
		row := at(path, i)
		var old object
		if place, err := strconv.Atoi(b.texts[row+rowMark]); err == nil && place >= 0 && place < len(before) {
			old, _ = before[place].(object)
		}
		rows = append(rows, b.build(one.Items, row, old))
	}
	if len(rows) == 0 && len(before) == 0 {
		return was
	}
	return rows
}

// oneOf puts a string into the field that was chosen, and takes it out of the others.
func (b *builder) oneOf(one *Item, path string, before, out object) {
	which, text := b.texts[path+whichMark], b.texts[path+valueMark]
	made := maps.Clone(before)
	if one.Path == "" {
		made = out
	} else if made == nil {
		made = object{}
	}
	for _, option := range one.Choices {
		old := show(Text, before[option.Value])
		switch {
		case option.Value == "":
		case option.Value != which:
			delete(made, option.Value)
		case text == "":
			delete(made, option.Value)
			b.faults.Add(path, "is required: what to compare with")
		case sent(OneOf, old) != text:
			made[option.Value] = text
		}
	}
	if one.Path == "" {
		return
	}
	if len(made) == 0 {
		put(out, one.Path, nil)
		return
	}
	put(out, one.Path, made)
}

// value reads one field; nil leaves it out.
func (b *builder) value(one *Item, path string, was any) any {
	text := b.texts[path]
	if one.Fixed || one.Kind != Deliberate && was != nil && text == sent(one.Kind, show(one.Kind, was)) {
		return was
	}
	switch one.Kind {
	case Area:
		return textOrNothing(text)
	case Flag:
		if text == "" {
			return nil
		}
		return true
	case Lines, Names:
		return listOf(lines(text))
	case Deliberate:
		switch {
		case len(lines(text)) > 0:
			return listOf(lines(text))
		case b.texts[path+whichMark] == Nothing:
			return []any{}
		}
		b.faults.Add(path, "is required: add the services that it calls, or say that it calls nothing")
		return nil
	case Checks:
		return checked(lines(text), was)
	case Labels:
		return b.labels(path, text, was)
	}
	text = strings.TrimSpace(text)
	if text == "" {
		if one.Needed && one.Kind == Whole {
			b.faults.Add(path, "is required")
		}
		return nil
	}
	switch one.Kind {
	case Whole:
		return b.whole(path, text)
	case Choice:
		if one.Numeric {
			return b.whole(path, text)
		}
	case Decimal:
		if number, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(number) && !math.IsInf(number, 0) {
			return number
		}
		b.faults.Add(path, "wants a number, not %s", quote(text))
		return nil
	case Duration:
		return b.duration(path, text)
	}
	return text
}

func textOrNothing(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (b *builder) whole(path, text string) any {
	number, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		b.faults.Add(path, "wants a whole number, not %s", quote(text))
		return nil
	}
	return number
}

func (b *builder) duration(path, text string) any {
	var d mesh.Duration
	data, err := json.Marshal(text)
	if err == nil {
		err = d.UnmarshalJSON(data)
	}
	switch {
	case err != nil:
		b.faults.Add(path, "%s", err)
	case d == 0:
		b.faults.Add(path, "%s", "is zero, which does not mean “no bound” here: leave it empty for the default")
	default:
		return text
	}
	return nil
}

func listOf(names []string) any {
	if len(names) == 0 {
		return nil
	}
	out := make([]any, len(names))
	for i, name := range names {
		out[i] = name
	}
	return out
}

// checked keeps the order that there was; what is new comes behind.
func checked(now []string, was any) any {
	var kept []string
	before, _ := was.([]any)
	for _, one := range before {
		if name, is := one.(string); is && slices.Contains(now, name) {
			kept = append(kept, name)
		}
	}
	for _, name := range now {
		if !slices.Contains(kept, name) {
			kept = append(kept, name)
		}
	}
	return listOf(kept)
}

// labels reads key=value lines. A line that is still as it was shown keeps its
// key and value, also where a "=" is in the key.
func (b *builder) labels(path, text string, was any) any {
	shown := map[string]string{}
	before, _ := was.(object)
	for key := range before {
		shown[key+"="+show(Text, before[key])] = key
	}
	out := object{}
	for i, line := range lines(text) {
		key, value, is := strings.Cut(line, "=")
		if old, known := shown[line]; known {
			key, value = old, line[len(old)+1:]
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch _, twice := out[key]; {
		case !is || key == "":
			b.faults.Add(path, "line %d wants a label as key=value, not %s", i+1, quote(line))
		case twice:
			b.faults.Add(path, "line %d gives %s again", i+1, quote(key))
		default:
			out[key] = value
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func quote(text string) string { return fmt.Sprintf("“%s”", mesh.Cut(text, 80)) }
