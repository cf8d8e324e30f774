package xds

import (
	"strings"
	"time"
)

// Nack is the last refusal of a type by one stream.
type Nack struct {
	At       time.Time
	Type     string // type URL
	Message  string // the client's words
	Version  string // of the refused response
	Names    []string
	Origins  []Origin // where the named resources came from
	Standing bool     // nothing that was accepted has replaced it yet
}

// maxNackBytes bounds what is kept of a client's words.
const maxNackBytes = 4096

// acked takes in an acknowledgement.
func (s *session) acked(now time.Time, sub *subscription, f flight) {
	for _, one := range f.items {
		delete(sub.rejected, one.id)
	}
	if !s.delta && sub.kind.facts().full {
		clear(sub.rejected) // the whole state was accepted
	}
	if len(sub.rejected) == 0 { // else the client still lacks what it refused before
		sub.acked, sub.acknowledged = f.version, true
	}
	s.warmed(now, sub.kind, f)
}

// nacked takes in a refusal. It is not answered: the same resource in the same
// version is not sent again unless the client asks for it by name (xDS
// protocol, "When to send an update"). What depends on the refused resources is
// held back for as long as anything is.
func (s *session) nacked(now time.Time, sub *subscription, f flight, message string) *Nack {
	if len(message) > maxNackBytes {
		message = message[:maxNackBytes]
	}
	message = strings.ToValidUTF8(message, "�")
	nack := &Nack{At: now, Type: sub.kind.facts().url, Message: message, Version: f.version.String()}
	blamed := make([]sentItem, 0, len(f.items))
	for _, one := range f.items {
		if mentions(message, one.id.Value()) {
			blamed = append(blamed, one)
		}
	}
	if len(blamed) == 0 {
		blamed = f.items // it may be any of them
	}
	if sub.rejected == nil {
		sub.rejected = map[name]version{}
	}
	if len(sub.rejected) == 0 {
		sub.rejectedAt = f.since
	}
	for _, one := range blamed {
		sub.rejected[one.id] = one.version
		nack.Names = append(nack.Names, one.id.Value())
		if one.origin != (Origin{}) {
			nack.Origins = append(nack.Origins, one.origin)
		}
	}
	sub.lastNack = nack
	sub.nacks++
	return nack
}

// mentions says whether a text holds a name as a word of its own, so that
// "orders" is not blamed for what is said of "orders-v2".
func mentions(text, resource string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], resource)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(resource)
		if (start == 0 || !nameByte(text[start-1])) && (end == len(text) || !nameByte(text[end]) || endsSentence(text[end:])) {
			return true
		}
		from = start + 1
	}
}

func nameByte(b byte) bool {
	return b == '-' || b == '_' || b == '.' || b == '/' ||
		'0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// endsSentence: a full stop that is followed by no further part of a name.
func endsSentence(rest string) bool {
	return rest[0] == '.' && (len(rest) == 1 || !nameByte(rest[1]))
}
