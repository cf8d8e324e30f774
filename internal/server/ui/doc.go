// Package ui is the registry for people: the web pages below /ui/, served by
// heddle server from templates and files inside the binary.
//
// Main type: [UI], an [http.Handler]. What is shown comes from the catalog's
// view of now; what has to be exact comes from the registry, which also judges
// every write. What other packages know (proxies, problems) comes in through
// functions in [Config].
//
// # How to add a page
//
// One file for each page, say topology.go, and its template beside the others:
//
//  1. templates/topology.html defines the blocks "title" and "content"; it may use
//     the parts in templates/parts.html (chips, times, empty states) and the
//     functions in words.go. Data that comes from the mesh is escaped by
//     html/template; there is no template.HTML in this
//     package but in topology.go, for pictures that escape each name themselves.
//  2. A method func (u *UI) topology(r *request) (*answer, error) gives the data
//     and the template's name. An error becomes a page by its kind.
//  3. New registers it: u.handle("GET /ui/topology", u.topology). Its entry in the
//     navigation goes into nav.go.
//
// A page has to work without JavaScript; htmx, for what is more pleasant with it,
// is loaded already. The content security policy lets no style and no script
// stand in a page: no style attributes, no handlers; what is drawn is SVG with
// attributes, or classes of static/app.css.
//
// # Forms
//
// A form is posted to a path of its own with u.handle("POST …"). Posts of other
// sites are refused before any handler sees them, so forms carry no token of
// their own; who is not signed in is refused, too. A handler that did something
// answers with done(path, "what was done"), which sends the browser on, or, when
// the input is wrong, with the same page, the faults and what was typed, and
// status 422. After a write, u.seen waits until the catalog knows it.
//
// Nothing runs in the background.
package ui
