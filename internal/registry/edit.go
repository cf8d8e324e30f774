package registry

import (
	"context"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// editedAtMost bounds how often an edit starts anew because another write came first.
const editedAtMost = 20

// EditService changes a stored service at the revision that it was read at; another
// write in between has it read anew, so nothing of it is lost. change says whether
// there is something to write. It gives the service as it is stored then.
func (s *Store) EditService(ctx context.Context, name mesh.ServiceName, write Write, change func(*mesh.Service) (bool, error)) (mesh.Service, error) {
	write.RequestID = "" // done twice, it is the same
	for tries := 1; ; tries++ {
		service, err := s.Service(ctx, name)
		if err != nil {
			return service, err
		}
		if err := MayDeclare(write.By, &service); err != nil {
			return service, err
		}
		if err := judgeKeeper(&services, found[mesh.Service]{object: &service}, write); err != nil {
			return service, err // before change judges what it could not write
		}
		changed, err := change(&service)
		if err != nil || !changed {
			return service, err
		}
		write.Revision = service.Meta.Revision
		stored, err := s.PutService(ctx, service, write)
		if tries == editedAtMost || mesh.KindOf(err) != mesh.KindConflict {
			return stored, err
		}
	}
}
