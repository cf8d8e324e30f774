package proxy_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if arguments := os.Getenv(childVariable); arguments != "" {
		os.Exit(runChild(arguments))
	}
	goleak.VerifyTestMain(m)
}
