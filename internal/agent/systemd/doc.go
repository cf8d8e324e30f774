// Package systemd finds the services of a host among the units of its systemd: those
// whose files have a section [X-Heddle], which systemd itself passes over.
//
// Main type: [Source]. Its one goroutine asks systemd over D-Bus, by a [bus] of its own.
//
// systemd is authoritative for what runs and which files a unit is made of; the files are
// read here, as systemd does not tell what is in sections that it does not know. Signals
// say only when to look: each look lists the units, which is all that is believed, and
// one is made every Interval besides. The files of units are read when systemd has loaded
// them anew, and once a minute.
package systemd
