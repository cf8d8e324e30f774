// Package cli is what the programs of Heddle have in common at the command line: the flags
// of every command ([Globals]), where a command reads and writes ([Console]), what is said of
// a line that makes no sense ([UsageError], [Usage]), how a command that runs on takes its
// ports and says that it serves ([ReadyFile], [Port]), and how a program begins and ends
// ([Main]). [Console.Fail] turns what a command returns into one clear message and an exit code:
//
//	0 done   1 failed   2 wrong usage   3 not found   4 conflict   5 denied   6 unavailable   7 stopped, 8 uncertain (explain)
package cli
