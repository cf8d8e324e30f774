package xds

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// names says whether a resource holds the name of another that it may use.
func (r *Resource) names(e *entry) bool {
	if r == nil || !e.kind.usedBy(r.kind) {
		return false
	}
	name := []byte(e.id.Value())
	return bytes.Contains(r.body(), name) && !eachField(r.body(), func(field []byte) bool { return !bytes.Equal(field, name) })
}

func (k kind) usedBy(user kind) bool { return slices.Contains(k.facts().usedBy, user) }

// eachField hands over each field of a message that can be a name, until one is
// not taken. It knows no types: what could be a message in a message, such as one
// in an Any, is handed over too, and so is what is in it.
func eachField(message []byte, take func(field []byte) bool) bool {
	for len(message) > 0 {
		number, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return true
		}
		message = message[n:]
		if typ == protowire.BytesType {
			field, _ := protowire.ConsumeBytes(message)
			if !take(field) || !eachField(field, take) {
				return false
			}
		}
		if n = protowire.ConsumeFieldValue(number, typ, message); n < 0 {
			return true
		}
		message = message[n:]
	}
	return true
}

// reach parts entries into those that the canary of a trial will be sent and the
// others. It is sent what it asked for, and asks for what that names, or what one
// of the users names. Each of these is read once, however many entries there are.
func (tr *trial) reach(s *scope, entries, users []*entry) (reached, lost []*entry) {
	var unasked [kindCount]map[string]*entry
	left := 0
	for _, e := range entries {
		if tr.canary == nil || s.asksAny(tr.canary, e) {
			reached = append(reached, e)
			continue
		}
		if unasked[e.kind] == nil {
			unasked[e.kind] = map[string]*entry{}
		}
		unasked[e.kind][e.id.Value()] = e
		left++
	}
	users = append(users, reached...)
	for ; left > 0 && len(users) > 0; users = users[1:] {
		user := users[0]
		if user.current == nil {
			continue
		}
		eachField(user.current.body(), func(field []byte) bool {
			for k := range kindCount {
				if e := unasked[k][string(field)]; e != nil && k.usedBy(user.kind) {
					delete(unasked[k], string(field))
					reached, users = append(reached, e), append(users, e)
					left--
				}
			}
			return left > 0
		})
	}
	for k := range unasked {
		for _, e := range unasked[k] {
			lost = append(lost, e)
		}
	}
	return reached, lost
}
