// Package terraform holds the modules in deploy/terraform to the provider's schema, to
// their own documentation and to rules of security, without Terraform: hack/test-terraform.sh
// does it with the real one, which is too heavy for every run.
package terraform
