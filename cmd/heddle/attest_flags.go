package main

import (
	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/workload"
)

// attestFlags say who gives join tokens to workloads that a platform vouches for.
type attestFlags struct {
	AttestURL       string `env:"HEDDLE_ATTEST_URL" placeholder:"URL" help:"Gives a join token to whoever shows a token of its platform: Heddle's operator, to pods. In the place of --join-token-file." empty:"fine"`
	AttestTokenFile string `type:"path" env:"HEDDLE_ATTEST_TOKEN_FILE" placeholder:"FILE" help:"File that holds the platform's token: in Kubernetes a projected token of the pod's service account." empty:"fine"`
	AttestCAFile    string `name:"attest-ca-file" type:"path" env:"HEDDLE_ATTEST_CA_FILE" placeholder:"FILE" help:"Certificates that --attest-url is verified by. Default: those in $$HEDDLE_ATTEST_CA, else the system's." empty:"fine"`
	AttestCA        string `name:"attest-ca" hidden:"" env:"HEDDLE_ATTEST_CA" empty:"fine" help:"What --attest-ca-file holds, as PEM; the injector sets it."`
}

// attestor is nil when nobody is to be asked for whom it is.
func (f *attestFlags) attestor(of mesh.Identity, instance mesh.InstanceID) (*workload.Attestor, error) {
	if f.AttestURL == "" {
		if f.AttestTokenFile != "" || f.AttestCAFile != "" {
			return nil, &cli.UsageError{Message: "--attest-token-file and --attest-ca-file need --attest-url"}
		}
		return nil, nil //nolint:nilnil // nobody is no error
	}
	by := &workload.Attestor{
		URL: f.AttestURL, TokenFile: f.AttestTokenFile, CAFile: f.AttestCAFile, CA: []byte(f.AttestCA),
		Identity: of, Instance: instance,
	}
	if err := mesh.Invalid("ask for join tokens", by.Validate()); err != nil {
		return nil, cli.WrongFlags(err)
	}
	return by, nil
}
