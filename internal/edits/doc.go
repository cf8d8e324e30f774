// Package edits changes declarations in the ways that the REST API and the web
// pages share, with the same checks: what the model and the rest of the mesh allow
// ([admission.Service]), whose it is, and what the audit tells of it.
//
// [DeclareCall] adds a dependency, [RollBack] writes an earlier state anew.
package edits
