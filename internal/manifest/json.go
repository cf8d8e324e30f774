package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// parseJSON reads one JSON value after another.
func parseJSON(data []byte) ([]*node, *Fault) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	p := jsonParser{dec: dec, breaks: lineBreaks(data)}
	var values []*node
	for {
		value, err := p.value(0)
		switch {
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return values, p.fault(err)
		}
		values = append(values, value)
	}
}

type jsonParser struct {
	dec    *json.Decoder
	breaks []int64 // the offset of each line feed
}

func lineBreaks(data []byte) []int64 {
	var breaks []int64
	for i, c := range data {
		if c == '\n' {
			breaks = append(breaks, int64(i))
		}
	}
	return breaks
}

// line gives the line of the byte before offset: a token's offset is its end.
func (p *jsonParser) line(offset int64) int {
	return 1 + sort.Search(len(p.breaks), func(i int) bool { return p.breaks[i] >= offset-1 })
}

func (p *jsonParser) fault(err error) *Fault {
	offset := p.dec.InputOffset()
	var syntax *json.SyntaxError
	switch {
	case !errors.As(err, &syntax):
	case syntax.Offset == offset: // of the byte that is wrong
		offset++
	default: // of the byte behind it
		offset = syntax.Offset
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &Fault{Line: p.line(offset), Message: "not valid JSON: it ends too soon"}
	}
	return &Fault{Line: p.line(offset), Message: fmt.Sprintf("not valid JSON: %v", err)}
}

// value reads one value; io.EOF means that there is none.
func (p *jsonParser) value(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d", maxDepth)
	}
	token, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &node{line: p.line(p.dec.InputOffset())}
	switch token {
	case json.Delim('{'):
		n.object = newFields()
		return n, p.object(n.object, depth)
	case json.Delim('['):
		n.isList = true
		for p.dec.More() {
			item, err := p.value(depth + 1)
			if err != nil {
				return nil, inside(err)
			}
			n.list = append(n.list, item)
		}
		_, err := p.dec.Token()
		return n, inside(err)
	}
	n.scalar, err = json.Marshal(token)
	if _, isString := token.(string); !isString {
		n.plain = string(n.scalar)
	}
	return n, err
}

func (p *jsonParser) object(f *fields, depth int) error {
	for p.dec.More() {
		name, err := p.dec.Token()
		if err != nil {
			return inside(err)
		}
		line := p.line(p.dec.InputOffset())
		value, err := p.value(depth + 1)
		if err != nil {
			return inside(err)
		}
		f.add(name.(string), line, value)
	}
	_, err := p.dec.Token()
	return inside(err)
}

// inside turns the end of the data within a value into what it is.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
