package azuretest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// lists are the paths of lists, and the names that the SDK has for asking for them.
var lists = []struct {
	path *regexp.Regexp
	api  string
	name string
}{
	{list(`Microsoft.Compute/virtualMachines`), VMs, "VirtualMachinesClient.NewListAllPager"},
	{list(`Microsoft.Compute/virtualMachineScaleSets`), ScaleSets, "VirtualMachineScaleSetsClient.NewListAllPager"},
	{list(`Microsoft.Network/networkInterfaces`), Interfaces, "InterfacesClient.NewListAllPager"},
	{list(`Microsoft.Network/publicIPAddresses`), PublicIPs, "PublicIPAddressesClient.NewListAllPager"},
	{regexp.MustCompile(`(?i)^/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/Microsoft.Compute/virtualMachines/([^/]+)$`), OneVM, "VirtualMachinesClient.Get"},
	{inSet(`Microsoft.Compute`, `virtualMachines`), Instances, "VirtualMachineScaleSetVMsClient.NewListPager"},
	{inSet(`microsoft.Compute`, `networkInterfaces`), InstanceNICs, "InterfacesClient.NewListVirtualMachineScaleSetNetworkInterfacesPager"},
	{inSet(`Microsoft.Compute`, `publicipaddresses`), InstancePublic, "PublicIPAddressesClient.NewListVirtualMachineScaleSetPublicIPAddressesPager"},
}

func list(kind string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)^/subscriptions/([^/]+)/providers/` + regexp.QuoteMeta(kind) + `$`)
}

func inSet(provider, kind string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)^/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/` + regexp.QuoteMeta(provider) + `/virtualMachineScaleSets/([^/]+)/` + kind + `$`)
}

const graphPath = "/providers/Microsoft.ResourceGraph/resources"

// understood says what a request asks for.
func understood(r *http.Request, body string) (Request, string) {
	asked := Request{API: Other, Page: 1}
	if page, err := strconv.Atoi(r.URL.Query().Get("$skiptoken")); err == nil {
		asked.Page = page
	}
	switch r.URL.Path {
	case "/msi/token":
		asked.API = Token
		return asked, ""
	case graphPath:
		var query struct {
			Query   string
			Options struct {
				SkipToken string `json:"$skipToken"`
			}
		}
		_ = json.Unmarshal([]byte(body), &query) // what is wrong with it the fake server says
		asked.API, asked.Query = Graph, query.Query
		if page, err := strconv.Atoi(query.Options.SkipToken); err == nil {
			asked.Page = page
		}
		return asked, "Client.Resources"
	}
	for _, one := range lists {
		match := one.path.FindStringSubmatch(r.URL.Path)
		if match == nil {
			continue
		}
		asked.API, asked.Subscription = one.api, match[1]
		if len(match) > 3 {
			asked.Group, asked.ScaleSet = match[2], match[3]
		}
		if asked.API == OneVM {
			asked.Name, asked.ScaleSet = asked.ScaleSet, ""
		}
		if asked.API == VMs && r.URL.Query().Get("statusOnly") == "true" {
			asked.API = VMStatus
		}
		return asked, one.name
	}
	return asked, ""
}

// serve answers one request.
func (a *Azure) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	asked, name := understood(r, string(body))
	a.mu.Lock()
	a.calls[asked.API]++
	fail, before := a.fail, a.before
	a.mu.Unlock()
	if before != nil {
		before(asked)
	}
	if fail != nil {
		if failure := fail(asked); failure != nil {
			failure.answer(w, r)
			return
		}
	}
	switch {
	case asked.API == Token:
		a.giveToken(w, r)
	case !a.allowed(w, r):
	case !a.reads(asked):
		(&Failure{Status: http.StatusForbidden, Code: "AuthorizationFailed", Body: errorBody("AuthorizationFailed",
			"The client 'heddle' with object id '0' does not have authorization to perform action 'Microsoft.Compute/virtualMachines/read' over scope '"+r.URL.Path+"' or the scope is invalid.")}).answer(w, r)
	case asked.API == Other:
		(&Failure{Status: http.StatusNotFound, Code: "InvalidResourceType"}).answer(w, r)
	default:
		a.answer(w, r, asked, name, string(body)) //nolint:contextcheck // the fake servers panic when a caller leaves
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answered = append(a.answered, time.Now())
}

// answer gives the fake server's answer, or the one that it gave before if nothing has
// changed since: to make it takes far longer than to send it.
func (a *Azure) answer(w http.ResponseWriter, r *http.Request, asked Request, name, body string) {
	said := once(a, asked.Subscription, "answer "+r.URL.RequestURI()+" "+body, func() *httptest.ResponseRecorder {
		// The fake servers panic when a caller leaves, so they are not told.
		again := r.WithContext(context.WithValue(context.WithoutCancel(r.Context()), runtime.CtxAPINameKey{}, name))
		again.URL.Scheme, again.URL.Host = "http", r.Host
		again.Body = io.NopCloser(strings.NewReader(body))
		recorder := httptest.NewRecorder()
		a.forward(recorder, again, a.transport(asked))
		return recorder
	})
	for name, values := range said.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(said.Code)
	_, _ = w.Write(said.Body.Bytes())
}

// reads says whether the caller may read what is asked for: of a list of a subscription what
// may not be read is left out.
func (a *Azure) reads(asked Request) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return asked.Group == "" || a.may(asked.Subscription, asked.Group)
}

// forward has a fake server of the SDK answer.
func (a *Azure) forward(w http.ResponseWriter, r *http.Request, to policy.Transporter) {
	answer, err := to.Do(r)
	if refused := (*azcore.ResponseError)(nil); errors.As(err, &refused) {
		(&Failure{Status: refused.StatusCode, Code: refused.ErrorCode}).answer(w, r)
		return
	}
	if err != nil {
		(&Failure{Status: http.StatusBadRequest, Code: "BadRequest", Body: errorBody("BadRequest", err.Error())}).answer(w, r)
		return
	}
	defer answer.Body.Close()
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

func errorBody(code, message string) string {
	text, err := json.Marshal(map[string]any{"error": map[string]string{"code": code, "message": message}})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (f *Failure) answer(w http.ResponseWriter, r *http.Request) {
	if f.Hang {
		<-r.Context().Done()
		return
	}
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
	}
	body := f.Body
	if body == "" {
		body = errorBody(f.Code, "as the test wants it")
	}
	if f.Code != "" {
		w.Header().Set("X-Ms-Error-Code", f.Code)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, body)
}

// giveToken answers as the endpoint of managed identities of App Service does.
func (a *Azure) giveToken(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Identity-Header") != "azuretest" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	a.mu.Lock()
	a.issued++
	token := "token-" + strconv.Itoa(a.issued)
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"access_token": token, "token_type": "Bearer", "resource": r.URL.Query().Get("resource"),
		"expires_on": strconv.FormatInt(time.Now().Add(24*time.Hour).Unix(), 10),
	})
}

// allowed refuses tokens that are none of this one's, and those that were made to expire.
func (a *Azure) allowed(w http.ResponseWriter, r *http.Request) bool {
	a.mu.Lock()
	least := a.token
	a.mu.Unlock()
	number := 0
	if _, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer token-%d", &number); err == nil && number >= least {
		return true
	}
	(&Failure{Status: http.StatusUnauthorized, Code: "ExpiredAuthenticationToken"}).answer(w, r)
	return false
}
