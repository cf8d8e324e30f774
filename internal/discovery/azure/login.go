package azure

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
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

// credential makes what gets tokens, by secrets as their files have them now.
func (c *Config) credential(through policy.Transporter) (azcore.TokenCredential, error) {
	o := azcore.ClientOptions{Cloud: c.configuration(), Transport: through, Telemetry: policy.TelemetryOptions{ApplicationID: applicationID}}
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
			return nil, fmt.Errorf("read clientSecretFile: %w", err)
		}
		return made(azidentity.NewClientSecretCredential(c.TenantID, c.ClientID, strings.TrimSpace(string(secret)), &azidentity.ClientSecretCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: private}))
	}
	data, err := os.ReadFile(c.ClientCertificateFile)
	if err != nil {
		return nil, fmt.Errorf("read clientCertificateFile: %w", err)
	}
	chain, key, err := azidentity.ParseCertificates(data, nil)
	if err != nil {
		return nil, fmt.Errorf("clientCertificateFile %s is not a certificate with its key, in PEM or PKCS #12 without a password: %w", c.ClientCertificateFile, err)
	}
	return made(azidentity.NewClientCertificateCredential(c.TenantID, c.ClientID, chain, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: private}))
}

// made keeps a nil of a type of its own from being taken for a credential.
func made[C azcore.TokenCredential](credential C, err error) (azcore.TokenCredential, error) {
	if err != nil {
		return nil, err
	}
	return credential, nil
}

// login gets tokens for all clients of a source: one at a time, and one for as long as it
// is good. Nothing is asked for and no secret is read before the first is wanted. The
// credential is made anew for each token, which has the files of secrets read again.
type login struct {
	cfg     *Config
	through policy.Transporter // nil: the SDK's own

	turn    chan struct{} // capacity one: whose turn it is; guards what follows
	token   azcore.AccessToken
	of      string    // whom the token is for
	got     time.Time // when
	refused time.Time // tokens that were issued until then are not taken; zero: none was refused
}

func newLogin(cfg *Config) *login { return &login{cfg: cfg, turn: make(chan struct{}, 1)} }

// The times of a token.
const (
	beforeItEnds = 5 * time.Minute  // it is replaced so early
	leastAge     = 30 * time.Second // and no earlier than this, however short it lives
)

// GetToken gives a token.
func (l *login) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return azcore.AccessToken{}, ctx.Err()
	}
	of := strings.Join(append(options.Scopes, options.TenantID), " ")
	good := options.Claims == "" && l.of == of && time.Now().Before(l.token.ExpiresOn)
	if good && (time.Since(l.got) < leastAge || time.Until(l.token.ExpiresOn) > beforeItEnds && (l.token.RefreshOn.IsZero() || time.Now().Before(l.token.RefreshOn))) {
		return l.token, nil
	}
	token, err := l.next(ctx, options)
	switch {
	case err == nil:
		l.token, l.of, l.got, l.refused = token, of, time.Now(), time.Time{}
	case good: // for the rest of its time
		return l.token, nil
	}
	return token, err
}

// next logs in. The tokens of managed identities are kept for all of the process, those
// included that were refused: a later one has to be asked for.
func (l *login) next(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	credential, err := l.cfg.credential(l.through)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	if _, is := credential.(*azidentity.ManagedIdentityCredential); is && !l.refused.IsZero() && options.Claims == "" {
		options.Claims = fmt.Sprintf(`{"access_token":{"nbf":{"essential":true,"value":"%d"}}}`, l.refused.Unix())
	}
	return credential.GetToken(ctx, options)
}

// ready gets a token if there is none that is good.
func (l *login) ready(ctx context.Context) error {
	audience := l.cfg.configuration().Services[cloud.ResourceManager].Audience
	if _, err := l.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{audience + "/.default"}, EnableCAE: true}); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	return nil
}

// forget has the next token be one that was not issued before.
func (l *login) forget() {
	l.turn <- struct{}{}
	l.token, l.of, l.refused = azcore.AccessToken{}, "", time.Now()
	<-l.turn
}
