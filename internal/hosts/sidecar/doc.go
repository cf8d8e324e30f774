// Package sidecar gives a fleet in the JSON that programs made for Sidecar read: the
// answers of its HTTP API, and the events that it posts to listeners.
//
// Main types: a [State] and [Services] are what its API answers with, an [Event] is what
// a listener is sent. All are made of a [hosts.State], which they share nothing with.
//
// Sidecar keeps the dead for hours as tombstones. Here what ended is gone from the next
// snapshot on; a tombstone is what a host ran that is lost, and the event of an end.
package sidecar
