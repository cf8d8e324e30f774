package xds

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"unique"
)

// name is a resource's name, interned: every stream and every index holds the
// same eight bytes for it, however many there are.
type name = unique.Handle[string]

// noName is no name.
var noName name

func nameOf(s string) name { return unique.Make(s) }

func sortNames(names []name) {
	slices.SortFunc(names, func(a, b name) int { return strings.Compare(a.Value(), b.Value()) })
}

// version is a truncated content hash. Its lowest bits are always zero, so that
// an [item] can keep its marks there.
type version uint64

const versionMask = ^version(15)

// String is the form on the wire: 16 hexadecimal digits.
func (v version) String() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(v))
	return hex.EncodeToString(b[:])
}

// parseVersion reads what a client says it holds. What this server cannot have
// sent becomes 0, which no resource has.
func parseVersion(s string) version {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 8 {
		return 0
	}
	return version(binary.BigEndian.Uint64(b)) & versionMask
}

// item is what a stream knows of one name, in one word, because there may be a
// million of them: the version that the client holds, and marks. Zero: nothing.
type item uint64

const (
	itemExplicit item = 1 << iota // the client asked for it by name
	itemHeld                      // the client was sent it, or said that it has it
	itemPending                   // it is to be looked at when the next response is composed
	itemAsked                     // and answered even if nothing changed, for the client asked just now
)

func (i item) explicit() bool     { return i&itemExplicit != 0 }
func (i item) held() bool         { return i&itemHeld != 0 }
func (i item) version() version   { return version(i) & versionMask }
func (i item) pending() bool      { return i&itemPending != 0 }
func (i item) asked() bool        { return i&itemAsked != 0 }
func (i item) looked() item       { return i &^ (itemPending | itemAsked) }
func (i item) forgotten() item    { return i & (itemExplicit | itemPending | itemAsked) }
func (i item) has(v version) item { return i.forgotten() | itemHeld | item(v&versionMask) }
