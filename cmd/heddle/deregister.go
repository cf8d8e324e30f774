package main

// deregisterCmd removes one instance.
type deregisterCmd struct {
	Service string `arg:"" complete:"services" help:"The service."`
	ID      string `arg:"" complete:"instance" help:"The instance."`
}

// Help shows examples below the usage.
func (deregisterCmd) Help() string {
	return `Its callers stop using it at once. What still renews it is told that it is gone.

Example:

  heddle deregister orders orders-2`
}
