package mesh

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// maxDepth bounds the nesting of outside JSON; the model needs far less.
const maxDepth = 64

// Decode reads one JSON value into into, which must be a pointer to one of the
// model's types. It is strict: fields that do not exist, wrong types, null
// elements, a field given twice and data behind the value are faults, and all
// of them are reported together. On error *into is left as it was.
func Decode(data []byte, into any) error {
	node, err := parse(data)
	if err != nil {
		return &Error{Kind: KindInvalid, Message: "not valid JSON", Faults: Faults{{Message: err.Error()}}}
	}
	target := reflect.New(reflect.TypeOf(into).Elem())
	var faults Faults
	assign(target.Elem(), node, "", &faults)
	if len(faults) > 0 {
		return Invalid("the object does not have the right shape", faults)
	}
	reflect.ValueOf(into).Elem().Set(target.Elem())
	return nil
}

// object is a JSON object that remembers the fields given more than once.
type object struct {
	fields map[string]any
	twice  []string
}

// parse reads exactly one JSON value. Numbers stay json.Number.
func parse(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("it is empty")
	}
	node, err := parseValue(dec, 0)
	if err != nil {
		return nil, describeSyntax(err, dec.InputOffset())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("there is something behind the end of the value, at byte %d", dec.InputOffset())
	}
	return node, nil
}

func describeSyntax(err error, offset int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends too soon")
	}
	return fmt.Errorf("at byte %d: %w", offset, err)
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return parseObject(dec, depth)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			item, err := parseValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		_, err := dec.Token()
		return list, err
	}
	return token, nil
}

func parseObject(dec *json.Decoder, depth int) (any, error) {
	obj := object{fields: map[string]any{}}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := token.(string)
		value, err := parseValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		if _, there := obj.fields[name]; there {
			obj.twice = append(obj.twice, name)
		}
		obj.fields[name] = value
	}
	_, err := dec.Token()
	return obj, err
}

// assign puts node into v, or adds what is wrong to faults.
func assign(v reflect.Value, node any, path string, faults *Faults) {
	if u, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		raw, err := json.Marshal(node)
		if _, isObject := node.(object); isObject {
			err = fmt.Errorf("wants %s, not an object", kindName(v.Type()))
		} else if err == nil {
			err = u.UnmarshalJSON(raw)
		}
		if err != nil {
			faults.Add(path, "%s", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if node != nil {
			v.Set(reflect.New(v.Type().Elem()))
			assign(v.Elem(), node, path, faults)
		}
	case reflect.Struct:
		assignStruct(v, node, path, faults)
	case reflect.Slice:
		assignSlice(v, node, path, faults)
	case reflect.Map:
		assignMap(v, node, path, faults)
	case reflect.Interface:
		v.Set(reflect.ValueOf(plain(node)))
	default:
		assignScalar(v, node, path, faults)
	}
}

func assignStruct(v reflect.Value, node any, path string, faults *Faults) {
	obj, ok := node.(object)
	if !ok {
		faults.Add(path, "wants an object, not %s", nodeName(node))
		return
	}
	known := map[string][]int{}
	for _, field := range reflect.VisibleFields(v.Type()) {
		if field.Anonymous { // its fields are this struct's own, as for encoding/json
			continue
		}
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "-" {
			known[name] = field.Index
		}
	}
	for _, name := range obj.twice {
		faults.Add(join(path, name), "is given twice")
	}
	for _, name := range slices.Sorted(maps.Keys(obj.fields)) {
		index, ok := known[name]
		if !ok {
			faults.Add(join(path, cut(name)), "is not a field here%s", suggestion(name, known))
			continue
		}
		before := len(*faults)
		assign(v.FieldByIndex(index), obj.fields[name], join(path, name), faults)
		if len(*faults) == before {
			faults.check(join(path, name), explicitZeroFault(v.Type().FieldByIndex(index), v.FieldByIndex(index), obj.fields[name]))
		}
	}
}

// explicitZeroFault refuses a duration that is written out as zero: the model
// keeps it as "left out", and whoever wrote it meant something else by it, for
// zero is "no bound" to Envoy. Only what people write comes this way; stored
// objects are read without it.
func explicitZeroFault(field reflect.StructField, v reflect.Value, node any) string {
	if d, ok := v.Interface().(Duration); !ok || d != 0 || node == nil {
		return ""
	}
	if field.Tag.Get("zero") == "noTimeout" {
		return ZeroDuration + noBound
	}
	return ZeroDuration
}

func assignSlice(v reflect.Value, node any, path string, faults *Faults) {
	if node == nil { // null is "left out"
		return
	}
	list, ok := node.([]any)
	if !ok {
		faults.Add(path, "wants a list, not %s", nodeName(node))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
	for i, item := range list {
		if item == nil {
			faults.Add(at(path, i), "is null")
			continue
		}
		assign(v.Index(i), item, at(path, i), faults)
	}
}

func assignMap(v reflect.Value, node any, path string, faults *Faults) {
	if node == nil {
		return
	}
	obj, ok := node.(object)
	if !ok {
		faults.Add(path, "wants an object, not %s", nodeName(node))
		return
	}
	for _, name := range obj.twice {
		faults.Add(join(path, cut(name)), "is given twice")
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(obj.fields)))
	for _, name := range slices.Sorted(maps.Keys(obj.fields)) {
		item := reflect.New(v.Type().Elem()).Elem()
		if obj.fields[name] == nil {
			faults.Add(join(path, cut(name)), "is null")
			continue
		}
		assign(item, obj.fields[name], join(path, cut(name)), faults)
		v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), item)
	}
}

// assignScalar leaves the range checks of numbers to encoding/json, whose
// message it replaces by one that says what is wanted.
func assignScalar(v reflect.Value, node any, path string, faults *Faults) {
	switch node.(type) {
	case nil:
		return
	case object, []any:
	default:
		raw, err := json.Marshal(node)
		if err == nil && json.Unmarshal(raw, v.Addr().Interface()) == nil {
			return
		}
	}
	faults.Add(path, "wants %s, not %s", kindName(v.Type()), nodeName(node))
}

// plain turns a parsed node into what encoding/json would have given.
func plain(node any) any {
	switch n := node.(type) {
	case object:
		out := make(map[string]any, len(n.fields))
		for name, value := range n.fields {
			out[name] = plain(value)
		}
		return out
	case []any:
		out := make([]any, len(n))
		for i := range n {
			out[i] = plain(n[i])
		}
		return out
	case json.Number:
		f, err := n.Float64()
		if err != nil {
			return n.String()
		}
		return f
	}
	return node
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		if t == reflect.TypeFor[Duration]() {
			return "a duration such as \"5s\""
		}
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "a " + t.Name()
}

func nodeName(node any) string {
	switch n := node.(type) {
	case nil:
		return "null"
	case object:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "the string " + quote(n)
	case json.Number:
		return "the number " + cut(n.String())
	}
	return fmt.Sprintf("%v", node)
}

// suggestion names the field that was probably meant: the same letters, or one
// edit away.
func suggestion(name string, known map[string][]int) string {
	for _, candidate := range slices.Sorted(maps.Keys(known)) {
		if strings.EqualFold(name, candidate) || nearlySame(name, candidate) {
			return fmt.Sprintf("; did you mean %q?", candidate)
		}
	}
	return ""
}

// nearlySame says whether one insertion, deletion or replacement turns a into b.
func nearlySame(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || len(a) < 3 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i == len(a) || a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:]
}

// MaxPathName is how many bytes of a field's name the path of a fault shows.
const MaxPathName = 80

func cut(s string) string { return Cut(s, MaxPathName) }
