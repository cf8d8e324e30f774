package identity

import (
	"encoding/hex"
	"errors"
	"strings"
)

// FormatJoinToken puts the secret of a join token together with the pin by which
// its user knows the server.
func FormatJoinToken(secret, pin string) string { return secret + "_" + pin }

// ParseJoinToken takes a join token apart.
func ParseJoinToken(text string) (secret, pin string, err error) {
	at := strings.LastIndexByte(text, '_')
	if at < 0 || !strings.HasPrefix(text, "hdj_") {
		return "", "", errors.New("this is not a join token: heddle token create makes one, see its --join flags")
	}
	secret, pin = text[:at], text[at+1:]
	if sum, err := hex.DecodeString(pin); err != nil || len(sum) != 32 || strings.Count(secret, "_") != 2 {
		return "", "", errors.New("the join token is not whole: check how it was copied")
	}
	return secret, pin, nil
}
