// Package page is what an agent shows to people at /ui/: one page of the whole fleet, its
// members, its services, and what is wrong with them.
//
// Main type: [Page], an http.Handler. It is made anew from the newest snapshot each time
// that it is asked for. A script follows the agent's watch and puts the new page in the
// place of the old one; without scripts one loads it again. What hosts say is text of
// others: html/template escapes it, and the page's security policy lets nothing run that
// is not in a file of this package.
package page
