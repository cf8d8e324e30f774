package registry

import (
	"context"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// WakeSource tells the server that refreshes a source of virtual machines that something
// changed there.
func (s *Store) WakeSource(ctx context.Context, source string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.client.Do(ctx, wake(source))
	return refusal(err, "wake source "+quoted(source))
}

func wake(source string) clientv3.Op {
	return clientv3.OpPut(wakePrefix+source, timeNow().UTC().Format(time.RFC3339Nano))
}

// wakeRetry is after how long a watch for wakes that ended is begun again.
const wakeRetry = time.Second

// Wakes calls woken with each source that is woken, until ctx ends. While etcd is away some
// may be missed: after that it is called with "", which is all of them.
func (s *Store) Wakes(ctx context.Context, woken func(source string)) {
	for ctx.Err() == nil {
		for answer := range s.client.Watch(clientv3.WithRequireLeader(ctx), wakePrefix, clientv3.WithPrefix(), clientv3.WithFilterDelete()) {
			for _, event := range answer.Events {
				woken(strings.TrimPrefix(string(event.Kv.Key), wakePrefix))
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wakeRetry):
			woken("")
		}
	}
}
