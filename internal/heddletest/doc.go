// Package heddletest runs heddle as its users do, for tests: as processes of the program
// of this tree, on ports that nobody else takes, in network namespaces where that is asked.
//
// Main types: [Program] builds heddle once for all tests of a package; [Process] is one
// that runs, and ends with its test; [Hub] runs a test again in a network namespace.
// [Serve] is an application beside it.
package heddletest
