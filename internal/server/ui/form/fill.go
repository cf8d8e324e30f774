package form

import "fmt"

// Fill makes the texts of a form that shows an object of the model.
func Fill(items []Item, of any) (Texts, error) {
	tree, err := treeOf(of)
	if err != nil {
		return nil, err
	}
	t := Texts{}
	t.fill(items, "", tree)
	return t, nil
}

func (t Texts) fill(items []Item, prefix string, in object) {
	for i := range items {
		t.fillOne(&items[i], below(prefix, items[i].Path), in)
	}
}

func (t Texts) fillOne(one *Item, path string, in object) {
	value := find(in, one.Path)
	inner, is := value.(object)
	switch one.Kind {
	case Section, Group:
		t.fill(one.Items, path, inner)
	case Optional:
		if is {
			t[path+onMark] = "true"
			t.fill(one.Items, path, inner)
		}
	case Either:
		for i := range one.Items {
			alternative := &one.Items[i]
			if find(inner, alternative.Path) != nil {
				t[path+whichMark] = alternative.Path
				t.fillOne(alternative, below(path, alternative.Path), inner)
			}
		}
	case List:
		rows, _ := value.([]any)
		for i, row := range rows {
			there := at(path, i)
			t[there+rowMark] = fmt.Sprint(i)
			inner, _ := row.(object)
			t.fill(one.Items, there, inner)
		}
	case OneOf:
		for _, option := range one.Choices {
			if text := show(Text, inner[option.Value]); text != "" && t[path+whichMark] == "" {
				t[path+whichMark], t[path+valueMark] = option.Value, text
			}
		}
	default:
		if text := show(one.Kind, value); text != "" {
			t[path] = text
		}
		if one.Kind == Deliberate && value != nil && t[path] == "" {
			t[path+whichMark] = Nothing
		}
	}
}
