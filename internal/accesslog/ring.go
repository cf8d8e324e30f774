package accesslog

import (
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A minute in buckets.
const (
	bucketSeconds = 5
	buckets       = 60 / bucketSeconds
)

// ring counts the last minute: each bucket says of which moment it is, so that
// nothing has to be cleared while nothing happens.
type ring [buckets]struct {
	at                               int64 // seconds since 1970, by bucketSeconds
	requests, errors, refused, there uint32
}

func (r *ring) add(s *seen, now time.Time) {
	at := now.Unix() / bucketSeconds
	b := &r[at%buckets]
	if b.at != at {
		*b = ring{}[0]
		b.at = at
	}
	b.requests += uint32(one(s.counted))
	b.errors += uint32(one(s.failed))
	b.refused += uint32(one(s.refused))
	b.there += uint32(one(s.there))
}

// rates are those of the last minute, of which the newest bucket is a part only.
func (r *ring) rates(into *mesh.Sighting, now time.Time) {
	at := now.Unix() / bucketSeconds
	span := float64(60-bucketSeconds) + float64(now.UnixMilli()-at*bucketSeconds*1000)/1000
	var requests, errors, refused, there float64
	for i := range r {
		if b := &r[i]; b.at > at-buckets && b.at <= at {
			requests += float64(b.requests)
			errors += float64(b.errors)
			refused += float64(b.refused)
			there += float64(b.there)
		}
	}
	into.Rate, into.ErrorRate, into.RefusedRate, into.ThereRate = rounded(requests/span), rounded(errors/span), rounded(refused/span), rounded(there/span)
}

// rounded keeps what is shared between servers short.
func rounded(rate float64) float64 { return float64(int64(rate*1000+0.5)) / 1000 }
