package registry

import (
	"context"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// WakeSource tells the server that refreshes a source of virtual machines that something
// changed there. The revision tells this request from others.
func (s *Store) WakeSource(ctx context.Context, source string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	done, err := s.client.Do(ctx, wake(source))
	if err != nil {
		return 0, refusal(err, "wake source "+quoted(source))
	}
	return done.Put().Header.Revision, nil
}

func wake(source string) clientv3.Op {
	return clientv3.OpPut(wakePrefix+source, timeNow().UTC().Format(time.RFC3339Nano))
}

// wakeRetry is after how long a watch for wakes that ended is begun again.
const wakeRetry = time.Second

// Wakes calls woken with each source that was woken and when, and with each that is, until
// ctx ends. What is woken while etcd is away is told once it is back.
func (s *Store) Wakes(ctx context.Context, woken func(source string, revision int64)) {
	told := map[string]int64{}
	tell := func(kv *mvccpb.KeyValue) {
		if source := strings.TrimPrefix(string(kv.Key), wakePrefix); told[source] != kv.ModRevision {
			told[source] = kv.ModRevision
			woken(source, kv.ModRevision)
		}
	}
	for ctx.Err() == nil {
		if revision, err := s.pages(ctx, wakePrefix, 0, tell); err == nil {
			for answer := range s.client.Watch(clientv3.WithRequireLeader(ctx), wakePrefix, clientv3.WithPrefix(), clientv3.WithFilterDelete(), clientv3.WithRev(revision+1)) {
				for _, event := range answer.Events {
					tell(event.Kv)
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wakeRetry):
		}
	}
}
