//go:build !linux

package proxy

import "errors"

func mayBeTransparent() error { return errors.New("only Linux has TPROXY") }
