// Package docker finds the services of a host in a container engine that speaks the
// Docker Engine API, 1.40 (Docker 19.03) or later.
//
// Main types: [Source], whose one goroutine asks the engine, and [Rules], which say what
// services are made of containers and their labels.
//
// The engine is authoritative. Its events say only when to look: each leads to a listing
// of what runs, which is all that is believed, and a listing is made every Interval and
// after each connection besides. A missed event is so made good by the next listing, and
// nothing outlives a restart of the engine or the agent. One thing is known by an event
// alone: that a container was sent its stop signal, and is about to end.
package docker
