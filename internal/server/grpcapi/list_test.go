package grpcapi_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
)

func TestListsComeInPages(t *testing.T) {
	h := start(t)
	var want []string
	for i := range 5 {
		name := fmt.Sprintf("up-%d", i)
		h.create(dnsUpstream(name, "a.example.com"))
		h.declare(fmt.Sprintf("service-%d", i)) // not among the upstreams
		want = append(want, name)
	}
	for _, size := range []int32{0, 1, 2, 5, 1000} {
		var got []string
		token, revision := "", int64(0)
		for pages := 0; pages < 10; pages++ {
			page, err := h.server.upstreams.ListUpstreams(h.reader(), &heddlev1.ListUpstreamsRequest{PageSize: size, PageToken: token})
			ok(t, err)
			if size != 0 && len(page.GetUpstreams()) > int(size) {
				t.Fatalf("%d upstreams on a page of %d", len(page.GetUpstreams()), size)
			}
			if revision == 0 {
				revision = page.GetRevision()
				h.declare(fmt.Sprintf("meanwhile-%d", size)) // raises the registry's revision
			}
			if page.GetRevision() != revision {
				t.Errorf("a later page says revision %d, the first one %d: a watch from there would miss something", page.GetRevision(), revision)
			}
			for _, one := range page.GetUpstreams() {
				got = append(got, one.GetName())
			}
			if token = page.GetNextPageToken(); token == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("page size %d: got %v, want %v", size, got, want)
		}
	}
	all, err := h.server.services.ListServices(h.reader(), &heddlev1.ListServicesRequest{})
	ok(t, err)
	if len(all.GetServices()) != 15 {
		t.Errorf("%d services listed, want 15", len(all.GetServices()))
	}
}

func TestPagesOfBigObjectsStayBelowTheMessageLimit(t *testing.T) {
	h := start(t)
	for i := range 5 {
		h.create(bigUpstream(fmt.Sprintf("big-%d", i)))
	}
	token, count, pages := "", 0, 0
	for {
		page, err := h.server.upstreams.ListUpstreams(h.reader(), &heddlev1.ListUpstreamsRequest{PageToken: token})
		ok(t, err) // gRPC's client takes 4 MiB
		count += len(page.GetUpstreams())
		pages++
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if count != 5 || pages < 2 {
		t.Errorf("%d upstreams on %d pages", count, pages)
	}
}

func TestBadPagesAreRefused(t *testing.T) {
	h := start(t)
	encode := base64.RawURLEncoding.EncodeToString
	for _, token := range []string{"?", "x", encode([]byte("x/y")), encode([]byte("-1/y")), encode([]byte("0/y")), encode([]byte("12")), strings.Repeat("A", 100_000)} {
		_, err := h.server.upstreams.ListUpstreams(h.reader(), &heddlev1.ListUpstreamsRequest{PageToken: token, PageSize: -1})
		faulty(t, err, "page_size: is negative", "page_token: is not one that this API gave")
	}
}

// bigUpstream makes an upstream of nearly 1 MiB, the most that a write may have.
func bigUpstream(name string) *heddlev1.Upstream {
	u := dnsUpstream(name, "a.example.com")
	u.Traffic = &heddlev1.Traffic{Tls: &heddlev1.UpstreamTls{Ca: pemCA + strings.Repeat("#", 1<<20-2000)}}
	if size := proto.Size(u); size > 1<<20 {
		panic(size)
	}
	return u
}
