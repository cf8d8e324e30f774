package main

// deregisterCmd removes one instance.
type deregisterCmd struct {
	Service string `arg:"" help:"The service."`
	ID      string `arg:"" help:"The instance."`
}
