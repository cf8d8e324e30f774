package xds

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"
	"weak"

	"google.golang.org/protobuf/encoding/protowire"
)

// nameList is the names of one list of a request, in its order.
type nameList struct {
	ids     []name
	longest int  // bytes
	empty   bool // one of them is ""

	raw []byte // what they were read from, if the list is shared
}

func nameListOf(names []string) (l nameList) {
	if len(names) == 0 {
		return l
	}
	l.ids = make([]name, len(names))
	for i, n := range names {
		l.ids[i] = nameOf(n)
		l.longest = max(l.longest, len(n))
		l.empty = l.empty || n == ""
	}
	return l
}

// plus is both lists, one behind the other.
func (l nameList) plus(more nameList) nameList {
	if len(more.ids) == 0 {
		return l
	}
	return nameList{ids: append(l.ids[:len(l.ids):len(l.ids)], more.ids...),
		longest: max(l.longest, more.longest), empty: l.empty || more.empty}
}

// nameLists remembers long lists that were read from requests. The sidecars of a
// service all ask for the same, in the same order, so a thousand of them that
// start have their lists read once. A list is there until the next garbage
// collection after nobody needs it.
type nameLists struct {
	seed  maphash.Seed
	slots [64]atomic.Pointer[weak.Pointer[nameList]]
}

func newNameLists() nameLists { return nameLists{seed: maphash.MakeSeed()} }

// longList is from how many bytes on a list is worth remembering.
const longList = 512

// runOf finds the first run of a field of bytes in a message: the usual form of a
// list. It is empty if it is not worth remembering, or the message is faulty.
func runOf(message []byte, wanted protowire.Number) (from, to int) {
	from = -1
	for at := 0; at < len(message); {
		number, typ, n := protowire.ConsumeTag(message[at:])
		if n < 0 {
			return 0, 0
		}
		value := protowire.ConsumeFieldValue(number, typ, message[at+n:])
		if value < 0 {
			return 0, 0
		}
		mine := number == wanted && typ == protowire.BytesType
		if !mine && from >= 0 {
			break
		}
		if mine && from < 0 {
			from = at
		}
		at += n + value
		to = at
	}
	if from < 0 || to-from < longList {
		return 0, 0
	}
	return from, to
}

// find gives the list that was read from these bytes, or nil.
func (l *nameLists) find(raw []byte) *nameList {
	if known := l.slot(raw).Load(); known != nil {
		if one := known.Value(); one != nil && bytes.Equal(one.raw, raw) {
			return one
		}
	}
	return nil
}

// keep remembers a list by the bytes that it was read from.
func (l *nameLists) keep(raw []byte, list nameList) *nameList {
	list.raw = bytes.Clone(raw)
	made := weak.Make(&list)
	l.slot(raw).Store(&made)
	return &list
}

func (l *nameLists) slot(raw []byte) *atomic.Pointer[weak.Pointer[nameList]] {
	return &l.slots[maphash.Bytes(l.seed, raw)%uint64(len(l.slots))]
}
