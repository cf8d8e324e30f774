package edge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/heddle-mesh/heddle/internal/authz"
)

func hmacToken(secret []byte, header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// Each attack is refused for its own reason, by an issuer whose keys are known.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	e := i.run(t, i.config())
	ours, theirs := keyOf("now"), keyOf("nobody's")
	der, err := x509.MarshalPKIXPublicKey(&ours.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := sign(ours, header(nil), i.person(nil))
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	with := func(name string, value any) string {
		return sign(ours, header(nil), i.person(map[string]any{name: value}))
	}
	brings := func(name string, value any) string {
		return sign(theirs, header(map[string]any{name: value}), i.person(nil))
	}
	own := jose.JSONWebKey{Key: &theirs.PublicKey, KeyID: "now", Algorithm: "RS256"}
	at := func(d time.Duration) int64 { return i.clock.Now().Add(d).Unix() }
	doubled := func(claim, second string) string {
		return sign(ours, header(nil), strings.TrimSuffix(i.person(nil), "}")+`,"`+claim+`":`+second+"}")
	}

	for name, one := range map[string]struct {
		token string
		want  authz.Reason
	}{
		"a good one":                      {good, ""},
		"nothing":                         {"", authz.NoToken},
		"alg none, without signature":     {b64([]byte(header(map[string]any{"alg": "none"}))) + "." + payload + ".", authz.MalformedToken},
		"alg None, with a signature":      {sign(ours, header(map[string]any{"alg": "None"}), i.person(nil)), authz.MalformedToken},
		"no alg":                          {sign(ours, `{"kid":"now"}`, i.person(nil)), authz.MalformedToken},
		"HS256 with the public key, PEM":  {hmacToken(public, header(map[string]any{"alg": "HS256"}), i.person(nil)), authz.MalformedToken},
		"HS256 with the public key, DER":  {hmacToken(der, header(map[string]any{"alg": "HS256"}), i.person(nil)), authz.MalformedToken},
		"HS256 under the name of RS256":   {hmacToken(public, header(nil), i.person(nil)), authz.WrongSignature},
		"RS512, which is not allowed":     {sign(ours, header(map[string]any{"alg": "RS512"}), i.person(nil)), authz.MalformedToken},
		"ES256 of a key of one's own":     {signedBy(t, jose.ES256, elliptical, "now", i.person(nil)), authz.MalformedToken},
		"another's key":                   {sign(theirs, header(nil), i.person(nil)), authz.WrongSignature},
		"another's key id":                {sign(theirs, header(map[string]any{"kid": "nobody's"}), i.person(nil)), authz.UnknownKey},
		"a kid that is a path":            {brings("kid", "../../../../dev/null"), authz.UnknownKey},
		"a kid that is a URL":             {brings("kid", "https://evil.example/key"), authz.UnknownKey},
		"a kid that is a query":           {brings("kid", "x' UNION SELECT 'key"), authz.UnknownKey},
		"a kid of 10 KB":                  {brings("kid", strings.Repeat("k", 10_000)), authz.MalformedToken},
		"a kid that is a list":            {brings("kid", []string{"now"}), authz.MalformedToken},
		"no kid":                          {sign(ours, `{"alg":"RS256"}`, i.person(nil)), authz.MalformedToken},
		"jwk":                             {brings("jwk", own), authz.MalformedToken},
		"jku":                             {brings("jku", i.URL+"/keys"), authz.MalformedToken},
		"x5u":                             {brings("x5u", i.URL+"/certificate"), authz.MalformedToken},
		"x5c":                             {brings("x5c", []string{"AAAA"}), authz.MalformedToken},
		"crit":                            {brings("crit", []string{"exp"}), authz.MalformedToken},
		"jku with a good signature":       {sign(ours, header(map[string]any{"jku": "https://evil.example"}), i.person(nil)), authz.MalformedToken},
		"another issuer":                  {with("iss", "https://evil.cloudflareaccess.com"), authz.WrongIssuer},
		"the issuer with a slash":         {with("iss", cloudflare+"/"), authz.WrongIssuer},
		"no issuer":                       {with("iss", nil), authz.WrongIssuer},
		"another application":             {with("aud", []string{"x", "y"}), authz.WrongAudience},
		"another application, one string": {with("aud", "x"), authz.WrongAudience},
		"no application":                  {with("aud", nil), authz.WrongAudience},
		"a number for an application":     {with("aud", 7), authz.MalformedToken},
		"a part of the tag":               {with("aud", tag[:63]), authz.WrongAudience},
		"expired":                         {with("exp", at(-time.Hour)), authz.ExpiredToken},
		"no expiry":                       {with("exp", nil), authz.MalformedToken},
		"expiry as text":                  {with("exp", "9999999999"), authz.MalformedToken},
		"expiry beyond all numbers":       {sign(ours, header(nil), strings.Replace(i.person(map[string]any{"exp": 777}), "777", "1e999", 1)), authz.MalformedToken},
		"expiry that overflows":           {with("exp", 1e30), authz.MalformedToken},
		"expiry before 1970":              {with("exp", -5), authz.MalformedToken},
		"not yet":                         {with("nbf", at(time.Hour)), authz.EarlyToken},
		"issued in the future":            {with("iat", at(time.Hour)), authz.EarlyToken},
		"an audience twice":               {doubled("aud", `["`+tag+`"]`), authz.MalformedToken},
		"a subject twice":                 {doubled("sub", `"root"`), authz.MalformedToken},
		"an expiry twice":                 {doubled("exp", "9999999999"), authz.MalformedToken},
		"alg twice":                       {sign(ours, `{"alg":"none","alg":"RS256","kid":"now"}`, i.person(nil)), authz.MalformedToken},
		"kid twice":                       {sign(ours, `{"alg":"RS256","kid":"x","kid":"now"}`, i.person(nil)), authz.MalformedToken},
		"neither person nor service":      {with("sub", ""), authz.MalformedToken},
		"claims that are a list":          {sign(ours, header(nil), `[]`), authz.MalformedToken},
		"claims that are no JSON":         {sign(ours, header(nil), `{"iss":`), authz.MalformedToken},
		"claims and something behind":     {sign(ours, header(nil), i.person(nil)+`{}`), authz.MalformedToken},
		"1 MiB":                           {sign(ours, header(nil), i.person(map[string]any{"x": strings.Repeat("x", 1<<20)})), authz.MalformedToken},
		"1 MiB of dots":                   {strings.Repeat(".", 1<<20), authz.MalformedToken},
		"bad base64 in the header":        {"!" + good, authz.MalformedToken},
		"bad base64 in the claims":        {head + ".*" + payload + "." + signature, authz.MalformedToken},
		"bad base64 in the signature":     {good + "=", authz.MalformedToken},
		"one letter of the claims":        {head + "." + payload[:40] + other(payload[40]) + payload[41:] + "." + signature, authz.WrongSignature},
		"one letter of the signature":     {head + "." + payload + "." + other(signature[0]) + signature[1:], authz.WrongSignature},
		"no signature":                    {head + "." + payload + ".", authz.WrongSignature},
		"two parts":                       {head + "." + payload, authz.MalformedToken},
		"four parts":                      {good + "." + signature, authz.MalformedToken},
		"two tokens, as Envoy joins them": {good + "," + good, authz.MalformedToken},
		"the JSON form":                   {`{"payload":"` + payload + `","protected":"` + head + `","signature":"` + signature + `"}`, authz.MalformedToken},
		"a huge name":                     {with("sub", strings.Repeat("x", 600)), authz.MalformedToken},
		"groups of another shape":         {with("groups", map[string]any{"a": 1}), authz.MalformedToken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := asks(t, e, "staff", one.token); reasonOf(t, err) != one.want {
				t.Errorf("refused with %q, want %q (%v)", reasonOf(t, err), one.want, err)
			}
		})
	}
}

func other(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func signedBy(t *testing.T, algorithm jose.SignatureAlgorithm, key any, kid, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The clocks of issuer and mesh may differ by a minute.
func TestSkew(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	e := i.run(t, i.config())
	for name, one := range map[string]struct {
		claim string
		at    time.Duration
		want  authz.Reason
	}{
		"ended 59 s ago":  {"exp", -59 * time.Second, ""},
		"ended 61 s ago":  {"exp", -61 * time.Second, authz.ExpiredToken},
		"begins in 59 s":  {"nbf", 59 * time.Second, ""},
		"begins in 61 s":  {"nbf", 61 * time.Second, authz.EarlyToken},
		"issued in 59 s":  {"iat", 59 * time.Second, ""},
		"issued in 61 s":  {"iat", 61 * time.Second, authz.EarlyToken},
		"ended long ago":  {"exp", -10_000 * time.Hour, authz.ExpiredToken},
		"begins in years": {"nbf", 50_000 * time.Hour, authz.EarlyToken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := map[string]any{one.claim: i.clock.Now().Add(one.at).Unix()}
			for provider, payload := range map[string]string{"staff": i.person(change), "partners": i.member(change)} {
				if _, err := asks(t, e, provider, sign(keyOf("now"), header(nil), payload)); reasonOf(t, err) != one.want {
					t.Errorf("%s: refused with %q, want %q", provider, reasonOf(t, err), one.want)
				}
			}
		})
	}
}

func TestSkewIsASetting(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	c := i.config()
	c.Providers[0].Skew = 5_000_000_000
	e := i.run(t, c)
	for ago, want := range map[int64]authz.Reason{4: "", 6: authz.ExpiredToken} {
		token := sign(keyOf("now"), header(nil), i.person(map[string]any{"exp": i.clock.Now().Unix() - ago}))
		if _, err := asks(t, e, "staff", token); reasonOf(t, err) != want {
			t.Errorf("ended %d s ago: %v", ago, err)
		}
	}
}
