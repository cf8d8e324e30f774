package terraform

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

const pair = "-----BEGIN PRIVATE KEY-----\n…\n-----BEGIN CERTIFICATE-----\n…\n"

func TestTheVaultIsClosedAgainHoweverAnImportEnds(t *testing.T) {
	notYet := "ERROR: (Forbidden) Caller is not authorized\n"
	for name, one := range map[string]struct {
		files    map[string]string
		imported bool
		tries    int
		roles    string
	}{
		"at once":                 {map[string]string{}, true, 1, ""},
		"rights take a while":     {map[string]string{"answers": notYet + notYet}, true, 3, ""},
		"rights never come":       {map[string]string{"answers": strings.Repeat(notYet, 40)}, false, 30, ""},
		"it is cut off":           {map[string]string{"answers": strings.Repeat(notYet, 40), "pause": "kill $PPID"}, false, 1, ""},
		"it is refused":           {map[string]string{"answers": "ERROR: (BadParameter) key and certificate do not match\n"}, false, 1, ""},
		"the role was there":      {map[string]string{"roles": "/roles/mine\n"}, true, 1, "/roles/mine\n"},
		"it has no PKCS #8 key":   {map[string]string{"edge.pem": strings.Replace(pair, "BEGIN PRIVATE", "BEGIN EC PRIVATE", 1)}, false, 0, ""},
		"it has no certificate":   {map[string]string{"edge.pem": pair[:30]}, false, 0, ""},
		"the file is empty":       {map[string]string{"edge.pem": ""}, false, 0, ""},
		"a rule cannot be undone": {map[string]string{"removals": "fail\n"}, true, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"edge.pem": pair, "access": "Disabled\n", "roles": "", "rules": ""}
			maps.Copy(files, one.files)
			c := newCloud(t, files)
			said, done := c.run("", root+"/scripts/import-certificate", "mesh", "mesh-vault", "edge-tls", filepath.Join(c.folder, "edge.pem"), "203.0.113.7")
			stuck := files["removals"] != ""
			if done != (one.imported && !stuck) || (c.read("certificate") == pair) != one.imported {
				t.Errorf("%v: %s", done, said)
			}
			if tries := c.calls("keyvault certificate import"); len(tries) != one.tries {
				t.Errorf("%d tries", len(tries))
			}
			if c.read("access") != "Disabled\n" || c.read("roles") != one.roles || (c.read("rules") == "") == stuck {
				t.Errorf("left behind: access %s, roles %s, rules %s", c.read("access"), c.read("roles"), c.read("rules"))
			}
			if stuck && !strings.Contains(said, "terraform apply closes the vault") {
				t.Error(said)
			}
		})
	}
	c := newCloud(t, map[string]string{"edge.pem": pair, "access": "Disabled\n", "roles": "", "rules": ""})
	for _, address := range []string{"0.0.0.0/0", "::1", ""} {
		if _, done := c.run("", root+"/scripts/import-certificate", "mesh", "mesh-vault", "edge-tls", filepath.Join(c.folder, "edge.pem"), address); done || c.read("calls") != "" {
			t.Errorf("%q is taken for an address", address)
		}
	}
}

// What the page says that the script does, somebody can do by hand.
func TestTheImportCanBeDoneByHand(t *testing.T) {
	c := newCloud(t, map[string]string{"edge.pem": pair, "access": "Disabled\n", "roles": "", "rules": ""})
	for _, block := range blocks(t) {
		if strings.Contains(block, "az keyvault certificate import") {
			if said, done := c.run("", "-euc", "group=mesh vault=mesh-vault; "+block); !done || c.read("certificate") != pair {
				t.Error(said)
			}
		}
	}
	if c.read("certificate") == "" || c.read("access") != "Disabled\n" || c.read("roles")+c.read("rules") != "" {
		t.Errorf("left behind: access %s, roles %s, rules %s", c.read("access"), c.read("roles"), c.read("rules"))
	}
}
