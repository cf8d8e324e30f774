package mesh

import (
	"fmt"
	"strings"
	"time"
)

// Revocation ends what was proven with join tokens until At: certificates of those
// who joined until then are no right to anything any more.
type Revocation struct {
	Of   string    `json:"of" doc:"An identity (service/orders, gateway/edge, heddle/authz), for all who joined as it until now, or one workload alone (workload/ and its name in the audit log)." example:"service/orders"`
	At   time.Time `json:"at,omitzero" doc:"Who joined later is not revoked." readOnly:"true"`
	Meta Meta      `json:"meta,omitzero" doc:"Set by the registry."`
}

// workloadPrefix begins Of of a revocation of one workload.
const workloadPrefix = "workload/"

// RevocationOfWorkload is what Of says of one workload.
func RevocationOfWorkload(name string) string { return workloadPrefix + name }

// Identity is whose certificates are revoked; nobody if it is of one workload.
func (r *Revocation) Identity() Identity {
	of, err := ParseIdentity(r.Of)
	if err != nil {
		return Identity{}
	}
	return of
}

// Validate reports every fault.
func (r *Revocation) Validate() Faults {
	var f Faults
	if name, is := strings.CutPrefix(r.Of, workloadPrefix); is {
		f.check("of", workloadFault(name))
		return f
	}
	of, err := ParseIdentity(r.Of)
	switch {
	case err != nil:
		f.Add("of", "%+q is none of service/NAME, gateway/NAME, heddle/authz and workload/NAME", cut(r.Of))
	case of.Kind == ServerIdentity:
		f.Add("of", "the identity of the control plane cannot be revoked: give the mesh another authority")
	}
	return f
}

// WorkloadNameLength is that of the name by which the certificates of one workload
// are known: hexadecimal digits.
const WorkloadNameLength = 18

func workloadFault(name string) string {
	hex := func(r rune) bool { return r >= '0' && r <= '9' || r >= 'a' && r <= 'f' }
	if len(name) != WorkloadNameLength || strings.ContainsFunc(name, func(r rune) bool { return !hex(r) }) {
		return fmt.Sprintf("%+q is not the name of a workload, %d hexadecimal digits: the server's audit log has it, where the identity was issued", cut(name), WorkloadNameLength)
	}
	return ""
}
