package workload

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Files are where an identity is kept; all paths are absolute.
type Files struct {
	Dir                          string
	Cert, Key, Bundle            string // PEM
	EnvoyIdentity, EnvoyBundle   string // SDS files for Envoy
	EnvoyIdentityName, EnvoyRoot string // the names of the secrets in them
}

const (
	currentLink      = "current"
	generationPrefix = "generation-"
)

// In gives the files in a folder.
func In(dir string) (Files, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Files{}, err
	}
	current := filepath.Join(dir, currentLink)
	return Files{
		Dir:  dir,
		Cert: filepath.Join(current, "cert.pem"), Key: filepath.Join(current, "key.pem"), Bundle: filepath.Join(current, "bundle.pem"),
		EnvoyIdentity: filepath.Join(dir, mesh.IdentityFile), EnvoyBundle: filepath.Join(dir, mesh.RootsFile),
		EnvoyIdentityName: mesh.IdentitySecret, EnvoyRoot: mesh.RootsSecret,
	}, nil
}

// held is an identity in memory.
type held struct {
	certificate *tls.Certificate
	roots       []*x509.Certificate
}

// read gives what is in the folder, or nil if there is none yet.
func (f Files) read() (*held, error) {
	chain, err := os.ReadFile(f.Cert)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // none yet is no error
	}
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(f.Key)
	if err != nil {
		return nil, err
	}
	bundle, err := os.ReadFile(f.Bundle)
	if err != nil {
		return nil, err
	}
	return parse(chain, key, bundle)
}

func parse(chain, key, bundle []byte) (*held, error) {
	certificate, err := tls.X509KeyPair(chain, key) // makes sure that they belong together
	if err != nil {
		return nil, err
	}
	roots, err := identity.ParseCertificates(bundle)
	if err != nil {
		return nil, fmt.Errorf("the root certificates: %w", err)
	}
	return &held{&certificate, roots}, nil
}

// encodeKey writes a private key as PEM.
func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// write replaces key, certificate and bundle together: a reader of the folder sees
// those of before or the new ones. The ones before stay until the next time, for
// whoever is reading them.
func (f Files) write(chain, key, bundle []byte) error {
	if err := f.prepare(); err != nil {
		return err
	}
	generation, err := os.MkdirTemp(f.Dir, generationPrefix) // mode 0700
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{"cert.pem": chain, "key.pem": key, "bundle.pem": bundle} {
		if err := writeSynced(filepath.Join(generation, name), data); err != nil {
			return errors.Join(err, os.RemoveAll(generation))
		}
	}
	link := filepath.Join(f.Dir, currentLink)
	before, err := os.Readlink(link)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Base(generation), generation+".link"); err != nil {
		return err
	}
	if err := os.Rename(generation+".link", link); err != nil {
		return err
	}
	return f.sweep(filepath.Base(generation), before)
}

// prepare makes the folder and the files that never change.
func (f Files) prepare() error {
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return err
	}
	identity := map[string]any{
		"certificate_chain": map[string]any{"filename": f.Cert},
		"private_key":       map[string]any{"filename": f.Key},
		"watched_directory": map[string]any{"path": f.Dir},
	}
	roots := map[string]any{
		"trusted_ca":        map[string]any{"filename": f.Bundle},
		"watched_directory": map[string]any{"path": f.Dir},
	}
	if err := writeSecret(f.EnvoyIdentity, f.EnvoyIdentityName, "tls_certificate", identity); err != nil {
		return err
	}
	if err := writeSecret(f.EnvoyBundle, f.EnvoyRoot, "validation_context", roots); err != nil {
		return err
	}
	err := os.Symlink(".", filepath.Join(f.Dir, mesh.IdentityFolder))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// writeSecret writes a DiscoveryResponse with one Secret that names files.
func writeSecret(path, name, kind string, secret any) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	data, err := json.MarshalIndent(map[string]any{"resources": []any{map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "name": name, kind: secret,
	}}}, "", "  ")
	if err != nil {
		return err
	}
	if err := writeSynced(path+".new", append(data, '\n')); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// sweep removes the generations but two.
func (f Files) sweep(keep ...string) error {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, generationPrefix) && name != keep[0] && name != keep[1] {
			errs = append(errs, os.RemoveAll(filepath.Join(f.Dir, name)))
		}
	}
	return errors.Join(errs...)
}

func writeSynced(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}
