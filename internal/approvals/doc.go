// Package approvals tells which callers of a service are approved, which are refused
// and which wait, and writes what the service's owner decides. The REST API and the web
// pages do it alike, with what is here.
//
// Main type: [Approval]. [List] is a pure question of declarations; [Approve],
// [Refuse] and [Revoke] edit the callee's declaration, where decisions are noted.
package approvals
