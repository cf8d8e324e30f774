// Package manifest reads and writes the files in which owners keep what they
// declare: YAML or JSON, one object or many, each with its kind beside the
// model's own fields.
//
//	kind: Service
//	name: web
//	owner: team-web
//	protocol: http
//	port: 8080
//	dependencies: [orders]
//
// [Read] takes the files, folders and standard input that a user names and
// gives [Object]s, or one [Error] with every [Fault] of every file, each with
// its line. On the way a file becomes a tree of nodes that know their lines
// (yaml.go, json.go), the tree becomes JSON for [mesh.Decode], and the faults
// that come back find their lines in the tree. [Object.Locate] does the same
// for faults that only the server can find.
//
// [Lint] looks at objects together: what is there twice, which dependencies
// nobody declares, which ports clash. [YAML] and [JSON] write objects so that
// Read gives them back unchanged.
//
// The package holds no state and starts no goroutine; only read.go does I/O.
package manifest
