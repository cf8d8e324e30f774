// Package cloudinit writes what a virtual machine needs to join the mesh at its first
// boot: a cloud-config that installs pinned versions, and the units that systemd runs.
//
// Each document is written once, by [write] in terms of a [writer]: text that is always
// the same, and [Variable] values. [Config] gives it with values, for heddle bootstrap
// --cloud-init; [Template] with expressions of Terraform in their places, for
// templatefile. Both check each value against the same pattern, so that none can end the
// line or the quotes that it stands in. [Units] gives the units alone.
//
// The package is pure: text in, text out.
package cloudinit
