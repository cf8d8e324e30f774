// Package netnstest makes network namespaces for tests, and calls in them from this process.
package netnstest
