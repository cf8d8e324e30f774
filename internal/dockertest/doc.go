// Package dockertest gives tests real container engines: [Start] runs one for a test, in a
// network of its own, and [Engine.Whoami] the containers that answer with their name.
// Without root, or what hack/system.sh docker.io installs, tests are skipped and say so.
package dockertest
