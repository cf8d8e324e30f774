package main

import "context"

func (g *globals) liveNames(ctx context.Context) func(server, what string) []string {
	return func(server, what string) []string { return nil }
}
