// Package dockerd runs real container engines, several on one machine, for tests and
// for the demo of hosts: each is a dockerd with its containerd, its containers and all
// its files in namespaces of its own.
//
// Main type: an [Engine], from [Start]; [Engine.Import] gives it an image made of files
// of this machine, and [Engine.Run] runs a container.
//
// Nothing of an engine outlives it, nor the process that started it: the first process
// of its PID namespace ends when that process does, and all others with it. A process that
// is killed leaves the engine's folder and empty cgroups, heddle-dk*. It needs
// Linux, root, and the programs that [Lacks] names.
package dockerd
