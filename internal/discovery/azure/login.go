package azure

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// The bounds of asking again within a listing. What takes longer fails it, and the next one
// comes when Azure wants it.
const (
	tries         = 3
	firstDelay    = 500 * time.Millisecond
	longestDelay  = 5 * time.Second
	tryTime       = 60 * time.Second
	applicationID = "heddle"
)

// configuration says where the cloud is.
func (c *Config) configuration() cloud.Configuration {
	switch c.Cloud {
	case USGovernment:
		return cloud.AzureGovernment
	case China:
		return cloud.AzureChina
	case Custom:
		return cloud.Configuration{
			ActiveDirectoryAuthorityHost: c.AuthorityHost,
			Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Endpoint: c.ResourceManager, Audience: cmp.Or(c.Audience, c.ResourceManager)},
			},
		}
	default:
		return cloud.AzurePublic
	}
}

// retries are how often a request is made again by itself.
func retries() policy.RetryOptions {
	return policy.RetryOptions{MaxRetries: tries, RetryDelay: firstDelay, MaxRetryDelay: longestDelay, TryTimeout: tryTime}
}

// options are those of all clients of Resource Manager.
func (c *Config) options(through policy.Transporter, retry policy.RetryOptions) *arm.ClientOptions {
	return &arm.ClientOptions{
		DisableRPRegistration: true, // this reads, and registers nothing
		ClientOptions: policy.ClientOptions{
			Cloud: c.configuration(), Transport: through,
			InsecureAllowCredentialWithHTTP: strings.HasPrefix(c.ResourceManager, "http:"), // Validate allows loopback only
			Retry:                           retry,
			Telemetry:                       policy.TelemetryOptions{ApplicationID: applicationID},
		},
	}
}

// credential logs in. Secrets are read anew each time, so that one that was replaced is
// taken after the old one is refused.
func (c *Config) credential() (azcore.TokenCredential, error) {
	o := azcore.ClientOptions{Cloud: c.configuration(), Telemetry: policy.TelemetryOptions{ApplicationID: applicationID}}
	private := c.Cloud == Custom
	switch c.Auth {
	case ByManagedIdentity:
		options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: o}
		if c.ClientID != "" {
			options.ID = azidentity.ClientID(c.ClientID)
		}
		return made(azidentity.NewManagedIdentityCredential(options))
	case ByWorkloadIdentity:
		return made(azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: o, ClientID: c.ClientID, TenantID: c.TenantID, TokenFilePath: c.FederatedTokenFile, DisableInstanceDiscovery: private}))
	case ByServicePrincipal:
		return c.servicePrincipal(o, private)
	case ByCLI:
		return made(azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: c.TenantID}))
	default:
		return made(azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: o, TenantID: c.TenantID, DisableInstanceDiscovery: private}))
	}
}

func (c *Config) servicePrincipal(o azcore.ClientOptions, private bool) (azcore.TokenCredential, error) {
	if c.ClientSecretFile != "" {
		secret, err := os.ReadFile(c.ClientSecretFile)
		if err != nil {
			return nil, fmt.Errorf("azure: read clientSecretFile: %w", err)
		}
		return made(azidentity.NewClientSecretCredential(c.TenantID, c.ClientID, strings.TrimSpace(string(secret)), &azidentity.ClientSecretCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: private}))
	}
	data, err := os.ReadFile(c.ClientCertificateFile)
	if err != nil {
		return nil, fmt.Errorf("azure: read clientCertificateFile: %w", err)
	}
	chain, key, err := azidentity.ParseCertificates(data, nil)
	if err != nil {
		return nil, fmt.Errorf("azure: clientCertificateFile %s is not a certificate with its key, in PEM or PKCS #12 without a password: %w", c.ClientCertificateFile, err)
	}
	return made(azidentity.NewClientCertificateCredential(c.TenantID, c.ClientID, chain, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: private}))
}

// made keeps a nil of a type of its own from being taken for a credential.
func made[C azcore.TokenCredential](credential C, err error) (azcore.TokenCredential, error) {
	if err != nil {
		return nil, fmt.Errorf("azure: log in: %w", err)
	}
	return credential, nil
}

// anew gets one token that was issued since a time, and then whatever there is: the tokens
// of managed identities are kept for all of the process, those included that are not taken.
type anew struct {
	of    azcore.TokenCredential
	since time.Time

	mu   sync.Mutex // guards done; held over the one request, for which all others wait
	done bool
}

// GetToken gets a token.
func (a *anew) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.done && options.Claims == "" {
		options.Claims = fmt.Sprintf(`{"access_token":{"nbf":{"essential":true,"value":"%d"}}}`, a.since.Unix())
	}
	token, err := a.of.GetToken(ctx, options)
	a.done = a.done || err == nil
	return token, err
}
