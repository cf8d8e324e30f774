package mesh

import "strings"

// plainInShell are the characters that a shell takes as they are, wherever they stand.
const plainInShell = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"

// ShellWord writes a text so that sh takes it for one word and runs nothing of it:
// commands that people are told to run hold what others wrote.
func ShellWord(text string) string {
	if text != "" && strings.Trim(text, plainInShell) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
