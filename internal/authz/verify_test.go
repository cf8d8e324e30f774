package authz

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// forger makes tokens that ours could be taken for.
type forger struct {
	set   *keySet
	key   *key
	rsa   *rsa.PrivateKey
	now   time.Time
	pair  Pair
	other *rsa.PrivateKey
}

var newForger = sync.OnceValue(func() *forger {
	f := &forger{now: newClock().now, pair: pairOf("web", "orders")}
	pkcs8, err := generateKey(RSA2048)
	if err != nil {
		panic(err)
	}
	if f.key, err = readKey(pkcs8, f.now); err != nil {
		panic(err)
	}
	if f.set, err = newKeySet([]*key{f.key}); err != nil {
		panic(err)
	}
	private, _ := x509.ParsePKCS8PrivateKey(pkcs8)
	f.rsa = private.(*rsa.PrivateKey)
	f.other, err = rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return f
})

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// header is a good one, changed.
func (f *forger) header(changes map[string]any) string {
	h := map[string]any{"alg": "RS256", "kid": f.key.id, "typ": "JWT"}
	maps.Copy(h, changes)
	data, _ := json.Marshal(h)
	return string(data)
}

// payload is a good one, changed.
func (f *forger) payload(changes map[string]any) string {
	c := map[string]any{
		"iss": testIssuer, "sub": f.pair.Caller, "aud": f.pair.Callee, "jti": "1",
		"iat": f.now.Unix(), "nbf": f.now.Unix(), "exp": f.now.Add(DefaultTokenLife).Unix(),
	}
	maps.Copy(c, changes)
	data, _ := json.Marshal(c)
	return string(data)
}

// sign signs with an RSA key, whatever the header says.
func sign(private *rsa.PrivateKey, header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(signature)
}

func sealedWith(secret []byte, header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	f := newForger()
	good := sign(f.rsa, f.header(nil), f.payload(nil))
	if _, _, err := f.set.verify(good, testIssuer, f.pair, f.now); err != nil {
		t.Fatalf("the good token: %v", err)
	}
	parts := strings.Split(good, ".")
	der, _ := x509.MarshalPKIXPublicKey(f.rsa.Public())
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	mine := jose.JSONWebKey{Key: f.other.Public(), KeyID: f.key.id, Algorithm: "RS256"}
	certificate, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: f.now.AddDate(1, 0, 0)},
		&x509.Certificate{}, f.other.Public(), f.other)
	if err != nil {
		t.Fatal(err)
	}
	elliptic256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	es, _ := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: elliptic256, KeyID: f.key.id}}, nil)
	esSigned, _ := es.Sign([]byte(f.payload(nil)))
	esToken, _ := esSigned.CompactSerialize()

	for name, token := range map[string]string{
		"empty":                          "",
		"three dots":                     "...",
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"two parts":                      parts[0] + "." + parts[1],
		"four parts":                     good + ".x",
		"bad base64":                     parts[0] + "." + parts[1] + ".!!!" + parts[2],
		"padded base64":                  parts[0] + "." + parts[1] + "." + parts[2] + "==",
		"header is no JSON":              sign(f.rsa, "{", f.payload(nil)),
		"header is a list":               sign(f.rsa, "[]", f.payload(nil)),
		"payload is no JSON":             sign(f.rsa, f.header(nil), "{"),
		"payload is a list":              sign(f.rsa, f.header(nil), "[]"),
		"1 MiB":                          parts[0] + "." + strings.Repeat("A", 1<<20) + "." + parts[2],
		"1 MiB, signed":                  sign(f.rsa, f.header(nil), f.payload(map[string]any{"pad": strings.Repeat("A", 1<<20)})),
		"JSON serialisation":             `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"alg none":                       b64([]byte(f.header(map[string]any{"alg": "none"}))) + "." + parts[1] + ".",
		"alg None with a signature":      sign(f.rsa, f.header(map[string]any{"alg": "None"}), f.payload(nil)),
		"alg empty":                      sign(f.rsa, f.header(map[string]any{"alg": ""}), f.payload(nil)),
		"alg RS512":                      sign(f.rsa, f.header(map[string]any{"alg": "RS512"}), f.payload(nil)),
		"alg PS256":                      sign(f.rsa, f.header(map[string]any{"alg": "PS256"}), f.payload(nil)),
		"alg ES256 over an RSA key":      sign(f.rsa, f.header(map[string]any{"alg": "ES256"}), f.payload(nil)),
		"ES256 of another key":           esToken,
		"HS256 with the public key, PEM": sealedWith(publicPEM, f.header(map[string]any{"alg": "HS256"}), f.payload(nil)),
		"HS256 with the public key, DER": sealedWith(der, f.header(map[string]any{"alg": "HS256"}), f.payload(nil)),
		"HS256 with the modulus":         sealedWith(f.rsa.N.Bytes(), f.header(map[string]any{"alg": "HS256"}), f.payload(nil)),
		"HS256 with the JWKS":            sealedWith(f.set.jwks, f.header(map[string]any{"alg": "HS256"}), f.payload(nil)),
		"HS256 with nothing":             sealedWith(nil, f.header(map[string]any{"alg": "HS256"}), f.payload(nil)),
		"another key":                    sign(f.other, f.header(nil), f.payload(nil)),
		"no kid":                         sign(f.rsa, f.header(map[string]any{"kid": ""}), f.payload(nil)),
		"unknown kid":                    sign(f.other, f.header(map[string]any{"kid": "mine"}), f.payload(nil)),
		"kid that is a path":             sign(f.other, f.header(map[string]any{"kid": "../../../dev/null"}), f.payload(nil)),
		"kid that is SQL":                sign(f.other, f.header(map[string]any{"kid": "' UNION SELECT 'x"}), f.payload(nil)),
		"kid that is a number":           sign(f.rsa, f.header(map[string]any{"kid": 7}), f.payload(nil)),
		"jwk":                            sign(f.other, f.header(map[string]any{"jwk": mine}), f.payload(nil)),
		"jwk beside a good signature":    sign(f.rsa, f.header(map[string]any{"jwk": mine}), f.payload(nil)),
		"jku":                            sign(f.rsa, f.header(map[string]any{"jku": "https://evil.test/jwks.json"}), f.payload(nil)),
		"x5u":                            sign(f.rsa, f.header(map[string]any{"x5u": "https://evil.test/cert.pem"}), f.payload(nil)),
		"x5c":                            sign(f.rsa, f.header(map[string]any{"x5c": []string{base64.StdEncoding.EncodeToString(certificate)}}), f.payload(nil)),
		"x5c of the other key":           sign(f.other, f.header(map[string]any{"x5c": []string{base64.StdEncoding.EncodeToString(certificate)}}), f.payload(nil)),
		"crit":                           sign(f.rsa, f.header(map[string]any{"crit": []string{"x"}, "x": 1}), f.payload(nil)),
		"b64 false":                      sign(f.rsa, f.header(map[string]any{"b64": false, "crit": []string{"b64"}}), f.payload(nil)),
		"header key twice":               sign(f.rsa, `{"alg":"none","alg":"RS256","kid":"`+f.key.id+`"}`, f.payload(nil)),
		"changed payload":                parts[0] + "." + b64([]byte(f.payload(map[string]any{"sub": "spiffe://mesh.test/service/admin"}))) + "." + parts[2],
		"changed header":                 b64([]byte(f.header(map[string]any{"typ": "jwt"}))) + "." + parts[1] + "." + parts[2],
		"wrong issuer":                   sign(f.rsa, f.header(nil), f.payload(map[string]any{"iss": "https://evil.test"})),
		"no issuer":                      sign(f.rsa, f.header(nil), f.payload(map[string]any{"iss": nil})),
		"wrong audience":                 sign(f.rsa, f.header(nil), f.payload(map[string]any{"aud": "spiffe://mesh.test/service/ledger"})),
		"a list of audiences":            sign(f.rsa, f.header(nil), f.payload(map[string]any{"aud": []string{f.pair.Callee, "x"}})),
		"wrong caller":                   sign(f.rsa, f.header(nil), f.payload(map[string]any{"sub": "spiffe://mesh.test/service/cart"})),
		"a user nobody asked for":        sign(f.rsa, f.header(nil), f.payload(map[string]any{"usr": map[string]any{"sub": "root"}})),
		"no end":                         sign(f.rsa, f.header(nil), f.payload(map[string]any{"exp": nil})),
		"end that is text":               sign(f.rsa, f.header(nil), f.payload(map[string]any{"exp": "never"})),
		"end beyond numbers":             sign(f.rsa, f.header(nil), f.payload(map[string]any{"exp": 1e300})),
		"caller twice":                   sign(f.rsa, f.header(nil), `{"sub":"spiffe://mesh.test/service/admin",`+f.payload(nil)[1:]),
		"end twice":                      sign(f.rsa, f.header(nil), fmt.Sprintf(`{"exp":%d,`, f.now.Unix())+f.payload(nil)[1:]),
		"claim in capitals":              sign(f.rsa, f.header(nil), strings.Replace(f.payload(nil), `"sub"`, `"SUB"`, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := f.set.verify(token, testIssuer, f.pair, f.now); err == nil {
				t.Error("it is taken")
			}
		})
	}
}

func TestClocksMayDifferByAMinute(t *testing.T) {
	t.Parallel()
	f := newForger()
	for name, one := range map[string]struct {
		claim string
		at    time.Duration
		good  bool
	}{
		"ended 59 s ago":      {"exp", -59 * time.Second, true},
		"ended 61 s ago":      {"exp", -61 * time.Second, false},
		"begins in 59 s":      {"nbf", 59 * time.Second, true},
		"begins in 61 s":      {"nbf", 61 * time.Second, false},
		"issued in 59 s":      {"iat", 59 * time.Second, true},
		"issued in 61 s":      {"iat", 61 * time.Second, false},
		"begins in a century": {"nbf", 876000 * time.Hour, false},
		"ended in 1970":       {"exp", -time.Duration(f.now.Unix()-1) * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := sign(f.rsa, f.header(nil), f.payload(map[string]any{one.claim: f.now.Add(one.at).Unix()}))
			if _, _, err := f.set.verify(token, testIssuer, f.pair, f.now); (err == nil) != one.good {
				t.Errorf("verified with %v", err)
			}
		})
	}
}

// Whatever comes, nothing but a token of ours is taken.
func FuzzVerify(f *testing.F) {
	forge := newForger()
	good := sign(forge.rsa, forge.header(nil), forge.payload(nil))
	f.Add(good)
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add(sealedWith(nil, forge.header(map[string]any{"alg": "none"}), forge.payload(nil)))
	f.Fuzz(func(t *testing.T, token string) {
		if _, _, err := forge.set.verify(token, testIssuer, forge.pair, forge.now); err == nil && token != good {
			t.Errorf("%q is taken", token)
		}
	})
}
