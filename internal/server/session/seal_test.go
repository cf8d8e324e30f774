package session

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"testing"
)

func TestWhatWasSealedIsOpenedAndNothingElse(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	one := &sealer{key: func(context.Context) ([]byte, error) { return key, nil }}
	other := &sealer{key: func(context.Context) ([]byte, error) { return bytes.Repeat([]byte{2}, 32), nil }}
	sealed, err := one.seal(t.Context(), "a", "text")
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := one.open(t.Context(), "a", sealed, &got); err != nil || got != "text" {
		t.Fatalf("%q %v", got, err)
	}
	again, _ := one.seal(t.Context(), "a", "text")
	if again == sealed {
		t.Error("the same value is sealed alike twice: the nonce repeats")
	}
	raw, _ := base64.RawURLEncoding.DecodeString(sealed)
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		if err := one.open(t.Context(), "a", base64.RawURLEncoding.EncodeToString(changed), &got); !errors.Is(err, errSeal) {
			t.Errorf("with byte %d changed: %v", i, err)
		}
	}
	for name, c := range map[string]struct {
		by      *sealer
		purpose string
		text    string
	}{
		"another purpose": {one, "b", sealed}, "another key": {other, "a", sealed},
		"nothing": {one, "a", ""}, "no base64": {one, "a", "%%%"}, "cut off": {one, "a", sealed[:10]},
	} {
		if err := c.by.open(t.Context(), c.purpose, c.text, &got); !errors.Is(err, errSeal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSessionsLastWhileEtcdIsAway(t *testing.T) {
	away := false
	s := &sealer{key: func(context.Context) ([]byte, error) {
		if away {
			return nil, errors.New("etcd is away")
		}
		return bytes.Repeat([]byte{1}, 32), nil
	}}
	sealed, err := s.seal(t.Context(), "a", "text")
	if err != nil {
		t.Fatal(err)
	}
	away, s.readAt = true, s.readAt.Add(-2*keyKept)
	var got string
	if err := s.open(t.Context(), "a", sealed, &got); err != nil || got != "text" {
		t.Fatalf("%q %v", got, err)
	}
}
