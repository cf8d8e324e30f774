package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAML writes objects, one document each, so that [Read] gives them back unchanged.
func YAML(w io.Writer, objects []Object) error {
	if len(objects) == 0 { // the encoder cannot end what it did not begin
		return nil
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	for i := range objects {
		raw, err := objects[i].MarshalJSON()
		if err != nil {
			return err
		}
		doc, err := fromJSON(raw)
		if err != nil {
			return err
		}
		if err := enc.Encode(doc); err != nil {
			return fmt.Errorf("write %s as YAML: %w", &objects[i], err)
		}
	}
	return enc.Close()
}

// JSON writes objects as one list, or a single one as it is when alone is true.
func JSON(w io.Writer, objects []Object, alone bool) error {
	if objects == nil {
		objects = []Object{}
	}
	var value any = objects
	if alone && len(objects) == 1 {
		value = objects[0]
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

// MarshalJSON writes the kind before the object's own fields.
func (o Object) MarshalJSON() ([]byte, error) {
	raw, err := json.Marshal(o.value())
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", &o, err)
	}
	rest, ok := bytes.CutPrefix(raw, []byte("{"))
	if !ok {
		return nil, fmt.Errorf("write %s: it is null", &o)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"kind":%q`, o.Kind)
	if !bytes.Equal(rest, []byte("}")) {
		b.WriteByte(',')
	}
	b.Write(rest)
	return b.Bytes(), nil
}

// ToYAML writes any value in the shape of its JSON form.
func ToYAML(w io.Writer, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	doc, err := fromJSON(raw)
	if err != nil {
		return err
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return err
	}
	return enc.Close()
}

// fromJSON makes YAML nodes of JSON, in the same order of fields.
func fromJSON(raw []byte) (*yaml.Node, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return yamlValue(dec)
}

func yamlValue(dec *json.Decoder) (*yaml.Node, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		return yamlContainer(dec, t)
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: t.String()}, nil
	case string:
		return yamlString(t), nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(t)}, nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: "null"}, nil
	}
	return nil, errors.New("not a JSON value") // the decoder gives nothing else
}

// yamlContainer reads what opened with delim: fields and items are both a row of values.
func yamlContainer(dec *json.Decoder, delim json.Delim) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	if delim == '{' {
		n.Kind = yaml.MappingNode
	}
	for dec.More() {
		value, err := yamlValue(dec)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, value)
	}
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle // [] and {}
	}
	_, err := dec.Token()
	return n, err
}

// yamlString quotes a text wherever some reader would take it for something else.
func yamlString(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	bare := &yaml.Node{Kind: yaml.ScalarNode, Value: s}
	tabbedLines := strings.Contains(s, "\n") && strings.Contains(s, "\t") // a block's line may not begin with a tab
	if bare.ShortTag() != "!!str" || isOldBool(bare) || tabbedLines {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
