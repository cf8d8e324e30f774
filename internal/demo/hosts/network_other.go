//go:build !linux

package hosts

import "errors"

func newNetwork() (*network, error) { return nil, errors.ErrUnsupported }

func (*network) inside(func() error) error { return errors.ErrUnsupported }
