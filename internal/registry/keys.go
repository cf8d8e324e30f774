package registry

import (
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The keys. Everything of ours is below root.
const (
	root               = "/heddle/v1/"
	servicePrefix      = root + "services/"
	instancePrefix     = root + "instances/"
	routePrefix        = root + "routes/"
	runtimeKey         = root + "runtime"
	tokenPrefix        = root + "tokens/"
	joinPrefix         = root + "join-tokens/"    // not among the tokens: a server of before would let them write
	scopedPrefix       = root + "scoped-tokens/"  // likewise: it would take an owner's token for an admin's
	adoptedPrefix      = root + "adopted-tokens/" // an empty key for each first token that a file gave: it comes back with no restart
	requestPrefix      = root + "requests/"
	auditDonePrefix    = root + "audit/done/"
	auditRefusedPrefix = root + "audit/refused/"
	historyPrefix      = root + "history/"
	signingKeysKey     = root + "signing-keys"
	tokenKeysKey       = root + "token-keys"
	keyOrdersKey       = root + "key-orders"
	authorizerPrefix   = root + "authorizers/"
	sessionKeyKey      = root + "session-key"
	revocationPrefix   = root + "revocations/"
	vmPrefix           = root + "vms/"
	vmSnapshotKey      = root + "vm-snapshot"      // put by each write of virtual machines: its revision is that of them all
	rosterKey          = root + "discovery-roster" // which sources the server has that refreshes them; it goes with its office
	placingKey         = root + "placing"          // how placing machines does, while a server has that office
	discoveryPrefix    = root + "discovery/"       // of each source of virtual machines how its latest refreshes went
	wakePrefix         = root + "wakes/"           // of each source when somebody said last that something changed there
	officePrefix       = root + "offices/"         // who of the servers does what only one is to do
	keptPrefix         = root + "kept-instances/"  // of each keeper of each service a key that each write of its set puts
	sourcePrefix       = root + "keepers/"         // of each keeper of instances the source that it belongs to
	sightingPrefix     = root + "calls/seen/"      // not of the mesh: no watcher is woken by them
	livePrefix         = root + "calls/live/"
	savedPrefix        = root + "calls/at/saved/" // an empty key beside each value of sightingPrefix, written with it
	shownPrefix        = root + "calls/at/shown/" // one for each server, written after what it shows
)

// meshPrefixes are what a watcher of the mesh lists.
var meshPrefixes = [...]string{servicePrefix, instancePrefix, routePrefix, runtimeKey, tokenKeysKey, authorizerPrefix, revocationPrefix, vmPrefix, vmSnapshotKey, discoveryPrefix, rosterKey, placingKey}

func instanceKey(key mesh.InstanceKey) string {
	return instancePrefix + string(key.Service) + "/" + string(key.ID)
}

// inMesh says whether a key below root is part of the mesh, rather than of the
// registry's own bookkeeping.
func inMesh(key string) bool {
	for _, prefix := range meshPrefixes {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
