//go:build race

package heddletest

// raceEnabled says whether these tests run with the race detector; then the
// heddle that they start has it too.
const raceEnabled = true
