// Package crd makes the definitions of Heddle's custom resources out of the
// model: the schema from the Go types and their tags, and what the model's
// Validate refuses as patterns, bounds and CEL rules, so that the Kubernetes API
// server refuses it too, at admission, with the field.
//
// [All] gives the definitions; api/crds/ holds them as files, which a test keeps
// up to date. The package is pure. What a rule cannot say (whether a PEM block holds
// a certificate, how large a regular expression is once compiled) is left to the
// operator, which says it in the object's status.
package crd
