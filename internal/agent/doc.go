// Package agent is one host of a mesh that needs no server: it finds what the host
// runs, tells the other hosts and hears from them by gossip, and configures the
// host's proxy from what all of them run.
//
// Main types: [Agent], whose Run is its whole life; a [Source] finds services on
// this host (package files, and others beside it).
//
// Data flow one way, and each step has one goroutine:
//
//	sources ── what this host runs ──▶ gossip ── what all hosts run ──▶ hosts.Fleet
//	  ──▶ catalog ──▶ control plane ──▶ xDS on loopback ──▶ the host's Envoy
//
// The host's proxy is to the control plane a sidecar without an application that
// calls every service: what a sidecar gets for what it declared, the host gets for
// what runs anywhere.
package agent
