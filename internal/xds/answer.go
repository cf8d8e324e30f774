package xds

import (
	"slices"
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
	if len(sub.rejected) > 0 || len(sub.trying) > 0 {
		for _, one := range f.items {
			delete(sub.rejected, one.id)
			delete(sub.trying, one.id)
		}
	}
	if sub.kind == kindRuntime && len(f.items) > 0 {
		s.tryAll(now)
	}
	if !s.delta && sub.kind.facts().full {
		clear(sub.rejected) // the whole state was accepted
		sub.kept = nil
	}
	if len(sub.rejected) == 0 { // else the client still lacks what it refused before
		sub.acked, sub.acknowledged = f.version, true
	}
	s.warmed(now, sub.kind, f)
	if sub.kind == kindEndpoint {
		s.paid(f)
	}
}

// taken gives the versions that a client took with a response: of one that holds
// everything also those that it passed over with an earlier one.
func (f *flight) taken() []sentItem {
	if len(f.whole) == 0 {
		return f.items
	}
	items := make([]sentItem, len(f.whole))
	for i, r := range f.whole {
		items[i] = sentItem{id: r.id, version: r.version}
	}
	return items
}

// maxAlone bounds how many resources are sent one by one to find the faulty one.
const maxAlone = 64

// nacked takes in a refusal. A refused version is not sent again unless the
// client asks for it by name (xDS protocol, "When to send an update"), and what
// depends on it is held back for as long as anything is.
//
// A client may have passed over the whole response because of one resource in
// it, so the others are sent again without that one. If the client's words name
// none of them, each is sent alone: then the next refusal tells. This ends,
// because each round has fewer resources. A SotW response that holds everything
// cannot leave any out; there, all of it waits for a mended version.
func (s *session) nacked(now time.Time, sub *subscription, f flight, message string, out *outcome) *Nack {
	if len(message) > maxNackBytes {
		message = message[:maxNackBytes]
	}
	message = strings.ToValidUTF8(message, "\uFFFD")
	nack := &Nack{At: now, Type: sub.kind.facts().url, Message: message, Version: f.version.String()}
	whole := !s.delta && sub.kind.facts().full
	blamed, others, missing := f.blame(message)
	alone := len(blamed) == 0 && len(others) > 1 && len(others) <= maxAlone && !whole
	unclear := len(blamed) == 0 && sub.kept != nil // it may be for what was refused before
	if len(blamed) == 0 && !alone {
		blamed, others = others, nil
	}
	for _, one := range blamed {
		sub.reject(one, f.since, message)
		sub.neverHad(one, f.nonce)
	}
	if ownFault(message) {
		sub.tryLater(blamed, now)
	}
	if whole {
		sub.keeps(f)
		out.passedOver = slices.Concat(others, missing)
		if f.nonce == sub.nonce && len(blamed) > 0 && !slices.ContainsFunc(blamed, sub.current) {
			sub.owe(now) // what it refused everything for has left its scope meanwhile
		}
	}
	if !unclear {
		out.refused = blamed
	}
	for _, one := range others {
		if !whole {
			sub.retry(one, alone, f.since)
		}
	}
	suspects := blamed
	if alone {
		suspects = others
	}
	for _, one := range suspects {
		nack.Names = append(nack.Names, one.id.Value())
		if from := one.from(); from != (Origin{}) {
			nack.Origins = append(nack.Origins, from)
		}
	}
	sub.lastNack = nack
	sub.nacks++
	return nack
}

// blame parts what is new in a refused response into what the client's words
// name and the others. Of a response that holds everything they may also name
// what came with an earlier one, and never what is missing from it.
func (f *flight) blame(message string) (named, others, missing []sentItem) {
	for _, one := range f.items {
		switch {
		case one.version == 0 && f.whole != nil:
			missing = append(missing, one)
		case mentions(message, one.id.Value()):
			named = append(named, one)
		default:
			others = append(others, one)
		}
	}
	for _, r := range f.whole {
		if mentions(message, r.Name) && !slices.ContainsFunc(named, func(one sentItem) bool { return one.id == r.id }) {
			named = append(named, sentItem{id: r.id, version: r.version, content: r.content, before: r.version, origin: r.origin})
		}
	}
	return named, others, missing
}

// keeps notes what a SotW client goes on with after it refused a response that
// held everything: what it had before the first of those that it refused.
func (s *subscription) keeps(f flight) {
	if s.kept == nil {
		s.kept = map[name]version{}
	}
	for _, one := range f.items {
		if _, earlier := s.kept[one.id]; !earlier {
			s.kept[one.id] = one.before
		}
	}
}

// current says whether what was sent is still what the client should have: it
// was sent nothing newer since, and has not given it up.
func (s *subscription) current(one sentItem) bool {
	it := s.items.get(one.id)
	return (it != 0 || s.wildcard) && it.version() == one.version
}

// reject notes that the client does not take a version.
func (s *subscription) reject(one sentItem, since time.Time, message string) {
	if !s.current(one) {
		return
	}
	if s.rejected == nil {
		s.rejected = map[name]sentItem{}
	}
	if len(s.rejected) == 0 {
		s.rejectedAt, s.words = since, map[name]string{}
	}
	s.rejected[one.id], s.words[one.id] = one, message
}

// neverHad corrects what the client was taken to have before what was sent behind a
// refused response: it still has what it had before that.
func (s *subscription) neverHad(one sentItem, nonce uint64) {
	for i := range s.flights {
		f := &s.flights[i]
		if f.nonce <= nonce {
			continue
		}
		at := slices.IndexFunc(f.items, func(later sentItem) bool { return later.id == one.id })
		if at < 0 {
			continue
		}
		if f.items[at].before == one.version {
			f.items = slices.Clone(f.items) // other streams share it
			f.items[at].before = one.before
		}
		return
	}
}

// refuses says whether the client refused what the scope holds under a name.
func (s *subscription) refuses(id name, v view) bool {
	refused, ok := s.rejected[id]
	if !ok {
		return false
	}
	r := v.lookup(s.kind, id)
	return r != nil && r.content == refused.content
}

// retry makes due again what the client may have passed over.
func (s *subscription) retry(one sentItem, alone bool, since time.Time) {
	if !s.current(one) {
		return
	}
	if one.version != 0 {
		s.setAbsent(one.id)
	}
	s.want(one.id, true, since, true)
	if alone {
		if s.alone == nil {
			s.alone = map[name]struct{}{}
		}
		s.alone[one.id] = struct{}{}
	}
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
