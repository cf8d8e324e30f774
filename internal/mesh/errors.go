package mesh

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrorKind says what sort of refusal an [Error] is. The edges (REST, gRPC,
// CLI) turn it into their own codes; nothing else does.
type ErrorKind string

// The kinds of refusal.
const (
	KindInvalid     ErrorKind = "invalid"     // the input is wrong; Faults says where
	KindNotFound    ErrorKind = "not found"   // no such object
	KindConflict    ErrorKind = "conflict"    // a stale revision, or an object that exists already
	KindDenied      ErrorKind = "denied"      // the caller may not do this
	KindUnavailable ErrorKind = "unavailable" // a component is down or not ready yet; try again
)

// Reason tells refusals of one kind apart, for programs. It goes out through
// the APIs as it is: what is there stays, and means the same.
type Reason string

// ReasonCorrupt is why an object is unavailable whose stored value cannot be
// read: trying again does not help, writing the object anew does.
const ReasonCorrupt Reason = "corrupt"

// The reasons for a conflict.
const (
	ReasonExists        Reason = "already_exists"    // what was to be created exists
	ReasonStale         Reason = "stale_revision"    // the object changed since the revision that the write was made from
	ReasonRequestReused Reason = "request_id_reused" // the request id was used before, for something else
	ReasonOtherEpoch    Reason = "other_epoch"       // a newer registration has the instance's name
	ReasonDependents    Reason = "has_dependents"    // others depend on what was to be deleted; Faults names them
	ReasonKept          Reason = "kept"              // a keeper has the object, and only that one may change it
	ReasonOtherSource   Reason = "other_source"      // the keeper belongs to another source than the one that writes in its name
	ReasonOtherName     Reason = "other_name"        // the source has a keeper of another name already
	ReasonTaken         Reason = "taken"             // what a keeper wants to keep is another keeper's, or nobody's and there already
)

// Error is a refusal that a caller may act on.
type Error struct {
	Kind    ErrorKind
	Reason  Reason // "" when Kind says enough
	Message string // what was tried, on what, why it failed, and how to mend it
	Faults  Faults // for KindInvalid: every fault found, in the order of the fields; for ReasonDependents: each dependent
	Err     error  // the cause, or nil
}

// Error gives the message, followed by the faults and the cause if there are any.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if len(e.Faults) > 0 {
		b.WriteString(": ")
		b.WriteString(e.Faults.String())
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Invalid makes a KindInvalid error, or nil when there are no faults.
func Invalid(message string, faults Faults) error {
	if len(faults) == 0 {
		return nil
	}
	return &Error{Kind: KindInvalid, Message: message, Faults: faults}
}

// NotFound makes a KindNotFound error.
func NotFound(format string, args ...any) error {
	return &Error{Kind: KindNotFound, Message: fmt.Sprintf(format, args...)}
}

// Conflict makes a KindConflict error.
func Conflict(format string, args ...any) error {
	return &Error{Kind: KindConflict, Message: fmt.Sprintf(format, args...)}
}

// ConflictBecause makes a KindConflict error with its reason.
func ConflictBecause(reason Reason, format string, args ...any) error {
	return &Error{Kind: KindConflict, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Denied makes a KindDenied error.
func Denied(format string, args ...any) error {
	return &Error{Kind: KindDenied, Message: fmt.Sprintf(format, args...)}
}

// Unavailable makes a KindUnavailable error with its cause, which may be nil.
func Unavailable(cause error, format string, args ...any) error {
	return &Error{Kind: KindUnavailable, Message: fmt.Sprintf(format, args...), Err: cause}
}

// ReasonOf gives the reason of the first [Error] in err's chain, or "".
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// KindOf gives the kind of the first [Error] in err's chain, or "" if there is none.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// Fault is one thing wrong with an object.
type Fault struct {
	Path    string `json:"path"`    // the field, e.g. "routes[1].to[0].weight"; "" is the object itself
	Message string `json:"message"` // what is wrong and how to mend it
	// OnWrite says that only writes are refused for it: an object that an older
	// Heddle stored with it can be used as well, or as badly, as before.
	OnWrite bool `json:"-"`
}

// Faults collects faults in the order they were found.
type Faults []Fault

// Add appends one fault.
func (f *Faults) Add(path, format string, args ...any) {
	*f = append(*f, Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

// check appends a fault unless its message is empty.
func (f *Faults) check(path, message string) {
	if message != "" {
		*f = append(*f, Fault{Path: path, Message: message})
	}
}

// checkWrite is check for what is to be refused in new writes only.
func (f *Faults) checkWrite(path, message string) {
	if message != "" {
		*f = append(*f, Fault{Path: path, Message: message, OnWrite: true})
	}
}

// OfStored gives the faults for which an object that is stored cannot be used.
func (f Faults) OfStored() Faults {
	return slices.DeleteFunc(slices.Clone(f), func(one Fault) bool { return one.OnWrite })
}

// String joins all faults on one line.
func (f Faults) String() string {
	parts := make([]string, len(f))
	for i, one := range f {
		if one.Path == "" {
			parts[i] = one.Message
			continue
		}
		parts[i] = one.Path + ": " + one.Message
	}
	return strings.Join(parts, "; ")
}

// join puts a field's name behind its parent's path.
func join(parent, field string) string {
	if parent == "" {
		return field
	}
	return parent + "." + field
}

// at puts an index behind a list's path.
func at(list string, index int) string { return fmt.Sprintf("%s[%d]", list, index) }
