// Package discovery finds virtual machines. A [Lister] is a source of them, such as a
// cloud's: a package of its own beside this one, that imports this one. A [Refresher]
// asks one again and again, and hands what differs from what is known to a [Shelf], which
// is the registry in the term of the one server that refreshes. What fails to be listed
// is not removed.
//
//	Lister ──List──▶ Refresher ──differences──▶ Shelf
//
// A Refresher's Run owns its state; nothing else has goroutines here.
package discovery
