package azure

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/discovery"
)

// Config says what is listed, as whom, and where Azure is.
type Config struct {
	Subscriptions []Subscription    `yaml:"subscriptions"` // at least one
	Listing       Listing           `yaml:"listing"`       // default: resourceGraph if resource groups are named, else arm
	Select        map[string]string `yaml:"select"`        // only machines with all of these tags; an empty value is any
	Tags          discovery.Tags    `yaml:"tags"`          // the names of the tags that say what a machine runs

	Events *Events `yaml:"events"` // Event Grid's webhook; default: none

	Auth                  Auth   `yaml:"auth"`                  // default: what the SDK finds, in its order
	ClientID              string `yaml:"clientID"`              // of the managed identity (default the system's), the application, or the workload
	TenantID              string `yaml:"tenantID"`              // of the application or workload
	ClientSecretFile      string `yaml:"clientSecretFile"`      // of a service principal: this one,
	ClientCertificateFile string `yaml:"clientCertificateFile"` // or this: PEM or PKCS #12, with its key
	FederatedTokenFile    string `yaml:"federatedTokenFile"`    // of a workload identity; default AZURE_FEDERATED_TOKEN_FILE

	Cloud           Cloud  `yaml:"cloud"`           // default public
	AuthorityHost   string `yaml:"authorityHost"`   // of a custom cloud: where tokens come from,
	ResourceManager string `yaml:"resourceManager"` // where Resource Manager is,
	Audience        string `yaml:"audience"`        // and whom its tokens are for; default ResourceManager
}

// Subscription is one, or some of its resource groups.
type Subscription struct {
	ID             string   `yaml:"id"`
	ResourceGroups []string `yaml:"resourceGroups"` // default: all
}

// Listing is how machines are listed.
type Listing string

// The ways of listing.
const (
	ByARM           Listing = "arm"           // Resource Manager's lists: fresh, and they need Reader on the subscription
	ByResourceGraph Listing = "resourceGraph" // queries: fewer calls, seconds late, and Reader on the groups is enough
)

// Auth is as whom Azure is asked.
type Auth string

// The ways of logging in.
const (
	ByDefault          Auth = ""
	ByManagedIdentity  Auth = "managedIdentity"
	ByWorkloadIdentity Auth = "workloadIdentity"
	ByServicePrincipal Auth = "servicePrincipal"
	ByCLI              Auth = "cli"
)

// Cloud is which Azure.
type Cloud string

// The clouds.
const (
	Public       Cloud = "public"
	USGovernment Cloud = "usGovernment"
	China        Cloud = "china"
	Custom       Cloud = "custom"
)

var (
	guid      = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	groupName = regexp.MustCompile(`^[\p{L}\p{N}_().-]{0,89}[\p{L}\p{N}_()-]$`)
)

// mostSubscriptions is how many Resource Graph takes in a query.
const mostSubscriptions = 1000

// Validate tells all that is wrong.
func (c *Config) Validate() error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf("azure: "+format, args...)) }
	if len(c.Subscriptions) == 0 || len(c.Subscriptions) > mostSubscriptions {
		say("subscriptions wants 1 to %d entries such as {id: 00000000-0000-0000-0000-000000000000, resourceGroups: [backends]}", mostSubscriptions)
	}
	seen := map[string]bool{}
	for i, one := range c.Subscriptions {
		id := strings.ToLower(one.ID)
		switch {
		case !guid.MatchString(one.ID):
			say("subscriptions[%d].id: %q is not a subscription's ID, as az account list has it", i, one.ID)
		case seen[id]:
			say("subscriptions[%d].id: %s is listed already: name all of its resource groups in one entry", i, one.ID)
		}
		seen[id] = true
		groups := map[string]bool{}
		for j, group := range one.ResourceGroups {
			if name := strings.ToLower(group); !groupName.MatchString(group) || groups[name] {
				say("subscriptions[%d].resourceGroups[%d]: %q is not the name of a resource group, or it is listed already", i, j, group)
			} else {
				groups[name] = true
			}
		}
	}
	if !slices.Contains([]Listing{"", ByARM, ByResourceGraph}, c.Listing) {
		say("listing: %q is neither %s nor %s", c.Listing, ByARM, ByResourceGraph)
	}
	for key := range c.Select {
		if strings.TrimSpace(key) == "" {
			say("select has a tag without a name")
		}
	}
	if c.Events != nil && c.Events.SecretFile == "" {
		say("events.secretFile is the file with what Event Grid has to know, such as openssl rand -hex 32 prints")
	}
	c.validateAuth(say)
	c.validateCloud(say)
	return errors.Join(wrong...)
}

// validateAuth: a setting that the way of logging in does not use would be a surprise.
func (c *Config) validateAuth(say func(string, ...any)) {
	uses := map[Auth]string{
		ByDefault: "tenantID", ByManagedIdentity: "clientID", ByWorkloadIdentity: "clientID tenantID federatedTokenFile",
		ByServicePrincipal: "clientID tenantID clientSecretFile clientCertificateFile", ByCLI: "tenantID",
	}
	used, is := uses[c.Auth]
	if !is {
		say("auth: %q is none of %s, %s, %s and %s", c.Auth, ByManagedIdentity, ByWorkloadIdentity, ByServicePrincipal, ByCLI)
		return
	}
	for _, one := range []struct{ name, value string }{
		{"clientID", c.ClientID}, {"tenantID", c.TenantID}, {"clientSecretFile", c.ClientSecretFile},
		{"clientCertificateFile", c.ClientCertificateFile}, {"federatedTokenFile", c.FederatedTokenFile},
	} {
		if one.value != "" && !slices.Contains(strings.Fields(used), one.name) {
			say("%s is not for auth: %q", one.name, c.Auth)
		}
	}
	if c.Auth == ByServicePrincipal {
		if c.ClientID == "" || c.TenantID == "" || (c.ClientSecretFile == "") == (c.ClientCertificateFile == "") {
			say("auth: servicePrincipal wants clientID, tenantID, and clientSecretFile or clientCertificateFile, one of them")
		}
	}
}

func (c *Config) validateCloud(say func(string, ...any)) {
	if !slices.Contains([]Cloud{"", Public, USGovernment, China, Custom}, c.Cloud) {
		say("cloud: %q is none of %s, %s, %s and %s", c.Cloud, Public, USGovernment, China, Custom)
		return
	}
	if c.Cloud != Custom {
		if c.AuthorityHost+c.ResourceManager+c.Audience != "" {
			say("authorityHost, resourceManager and audience are for cloud: custom")
		}
		return
	}
	if at, err := url.Parse(c.AuthorityHost); err != nil || at.Scheme != "https" || at.Host == "" {
		say("authorityHost: %q is not an https address such as https://login.microsoftonline.com/", c.AuthorityHost)
	}
	at, err := url.Parse(c.ResourceManager)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http":
		say("resourceManager: %q is not an https address such as https://management.azure.com", c.ResourceManager)
	case discovery.InClear(at):
		say("resourceManager: %q is not https, and tokens would go there in clear text: http is for this machine's own addresses, in tests", c.ResourceManager)
	}
}

// listing is the way of listing that is meant: with groups the identity may have rights on
// these alone, and Resource Manager has no list of what runs for a group.
func (c *Config) listing() Listing {
	if c.Listing != "" {
		return c.Listing
	}
	for _, one := range c.Subscriptions {
		if len(one.ResourceGroups) > 0 {
			return ByResourceGraph
		}
	}
	return ByARM
}

// scopes are what is listed each as a whole: subscriptions, or groups in them. Each is the
// beginning of its machines' IDs.
func (s Subscription) scopes() []string {
	in := "subscriptions/" + strings.ToLower(s.ID)
	if len(s.ResourceGroups) == 0 {
		return []string{in}
	}
	var out []string
	for _, group := range s.ResourceGroups {
		out = append(out, in+"/resourcegroups/"+strings.ToLower(group))
	}
	return out
}

// rests says whether nothing of the subscription is to be asked for.
func (s Subscription) rests(rest discovery.Rest) bool {
	return !slices.ContainsFunc(s.scopes(), func(scope string) bool { return !rest[scope] })
}
