//go:build !linux

package intercept

import (
	"context"
	"errors"
)

func apart(context.Context, string, string, ...string) (string, error) {
	return "", errors.New("only Linux redirects connections so")
}
