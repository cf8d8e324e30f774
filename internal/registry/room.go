package registry

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// makeRoom mends an etcd whose data, the history of an hour included, had
// outgrown its quota. It then refuses every write, also after a restart, until
// somebody lets go of the history, gives the room back, and takes off the alarm.
func (s *Store) makeRoom(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	const tried = "make room in the embedded etcd"
	alarms, err := s.client.AlarmList(ctx)
	if err != nil {
		return refusal(err, tried)
	}
	for _, alarm := range alarms.Alarms {
		if alarm.Alarm != etcdserverpb.AlarmType_NOSPACE {
			continue
		}
		revision, err := s.Revision(ctx)
		if err != nil {
			return err
		}
		if _, err := s.client.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
			return refusal(err, tried)
		}
		if _, err := s.client.Defragment(ctx, endpoint); err != nil {
			return refusal(err, tried)
		}
		if _, err := s.client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(alarm)); err != nil {
			return refusal(err, tried)
		}
		s.logger.Warn("the embedded etcd was full, and refused writes: its history is gone, and there is room again", "revision", revision)
	}
	return nil
}
