// Package completion completes the commands of a program in bash, zsh and fish, from kong's
// model of them.
//
// Main types: [Command] prints the script that a shell takes, [Complete] is what that asks at
// each key, [Values] is what only the program knows, such as names in the mesh.
package completion
