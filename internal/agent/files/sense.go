package files

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// example is what a file looks like.
const example = `[{"Service": {"Name": "orders", "Ports": [{"Type": "tcp", "Port": 10234, "ServicePort": 9001}]}}]`

// decode reads a file's JSON, and says what is wrong with it where it is.
func decode(body []byte) ([]entry, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, errors.New("it is empty: a host that runs nothing has [] in it")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	var entries []entry
	if err := decoder.Decode(&entries); err != nil {
		return nil, sense(body, err)
	}
	if entries == nil {
		return nil, errors.New("it has null where a list belongs: a host that runs nothing has [] in it")
	}
	end := decoder.InputOffset()
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		end += int64(len(body[end:]) - len(bytes.TrimLeft(body[end:], " \t\r\n")))
		return nil, fmt.Errorf("%s: there is something after the list", position(body, end+1))
	}
	return entries, nil
}

// sense makes a sentence of what is wrong with the JSON.
func sense(body []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: it ends before the list does", position(body, int64(len(bytes.TrimSpace(body)))))
	case errors.As(err, &syntax):
		at, found := position(body, syntax.Offset), body[max(0, syntax.Offset-1):]
		before := bytes.TrimRight(body[:max(0, syntax.Offset-1)], " \t\r\n")
		if len(found) > 0 && (found[0] == ']' || found[0] == '}') && bytes.HasSuffix(before, []byte(",")) {
			return fmt.Errorf("%s: the comma before it has nothing after it: take it away", position(body, syntax.Offset))
		}
		return fmt.Errorf("%s: it is no JSON: %s", at, err.Error())
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("%s: there is a JSON %s where a list of services, or one of them, belongs: write %s", position(body, kind.Offset), kind.Value, example)
	case errors.As(err, &kind):
		return fmt.Errorf("%s: %s cannot be a JSON %s", position(body, kind.Offset), kind.Field, kind.Value)
	}
	text := strings.TrimPrefix(err.Error(), "json: ")
	if name, unknown := strings.CutPrefix(text, "unknown field "); unknown {
		text = "there is no field " + name
		if at := bytes.Index(body, []byte(name)); at >= 0 { // it is named as it is written
			return fmt.Errorf("%s: %s", position(body, int64(at)+1), text)
		}
	}
	return errors.New(text)
}

// position is that of a byte, counted from 1, as editors count.
func position(body []byte, at int64) string {
	before := body[:max(0, min(at, int64(len(body)))-1)]
	line := bytes.Count(before, []byte("\n")) + 1
	return fmt.Sprintf("line %d, column %d", line, len([]rune(string(before[bytes.LastIndexByte(before, '\n')+1:])))+1)
}
