package gossip

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Keys are AES keys of 16, 24 or 32 bytes. The first encrypts; all are tried to
// understand others. A key is changed in three steps, each on all hosts before the
// next: add the new one at the end; move it to the front; take the old one away.
type Keys [][]byte

// ParseKeys reads keys as a file has them: a line each, in base64; lines that begin
// with # are not read. Errors name the line, never what is in it.
func ParseKeys(file []byte) (Keys, error) {
	var keys Keys
	lines := bufio.NewScanner(bytes.NewReader(file))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is not base64", number)
		}
		if size := len(key); size != 16 && size != 24 && size != 32 {
			return nil, fmt.Errorf("line %d: a key of %d bytes: it has to have 16, 24 or 32", number, size)
		}
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return keys, nil
}

// SetKeys replaces the keys while the host runs. A host that began without keys goes
// on without.
func (n *Node) SetKeys(keys Keys) error {
	if n.keyring == nil || len(keys) == 0 {
		return errors.New("a host begins with keys or without, and stays so until it is restarted")
	}
	for _, key := range keys {
		if err := n.keyring.AddKey(key); err != nil {
			return err
		}
	}
	if err := n.keyring.UseKey(keys[0]); err != nil {
		return err
	}
	for _, old := range n.keyring.GetKeys() {
		if !keys.have(old) {
			if err := n.keyring.RemoveKey(old); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k Keys) have(key []byte) bool {
	for _, one := range k {
		if bytes.Equal(one, key) {
			return true
		}
	}
	return false
}
