package hosts_test

import (
	"crypto/aes"
	"crypto/cipher"
	crand "crypto/rand"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// Thirty hosts, and one fault after another: in the end all agree on what runs, and none
// was told that what runs is gone for longer than the page says.
func TestThirtyHostsAndTheirFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes four minutes")
	}
	f := newFleet(t, 30)
	if took := agree(t, "once they have started", f.list); took > 20*time.Second {
		t.Errorf("that is as long as if they had waited for each other's digests")
	}
	f.files()
	f.containers()
	f.stopped()
	f.loss()
	f.strangers()
	f.killed()
	f.sameName()
	f.parted()
	f.footprint()
}

// stopped has a tenth of the hosts do nothing for 3 seconds, again and again.
func (f *fleet) stopped() {
	each(f.list, func(h *host) { h.since() })
	for range 5 {
		some := make([]*host, 0, 3)
		for _, i := range rand.Perm(len(f.list))[:3] {
			some = append(some, f.list[i])
		}
		each(some, func(h *host) { _ = h.Signal(syscall.SIGSTOP) })
		time.Sleep(3 * time.Second)
		each(some, func(h *host) { _ = h.Signal(syscall.SIGCONT) })
		time.Sleep(time.Second)
	}
	agree(f.t, "after some were stopped", f.list)
	// A machine that has no time for thirty hosts may stop one for longer than that.
	steady(f.t, "hosts were stopped for 3 s", f.list, 1)
}

// loss has each host lose one of 20 packets.
func (f *fleet) loss() {
	rule := []string{"INPUT", "-i", "eth0", "-m", "statistic", "--mode", "random", "--probability", "0.05", "-j", "DROP"}
	each(f.list, func(h *host) { h.run(f.t, "iptables", append([]string{"-w", "-A"}, rule...)...) })
	for i := range 10 {
		h := f.list[rand.IntN(len(f.list))]
		h.begins(f.t, fmt.Sprint("lossy-", i), 3000+i)
		time.Sleep(500 * time.Millisecond)
	}
	agree(f.t, "while 5 % of packets are lost", f.list)
	time.Sleep(5 * time.Second)
	steady(f.t, "5 % of packets are lost", f.list, 0)
	each(f.list, func(h *host) { h.run(f.t, "iptables", append([]string{"-w", "-D"}, rule...)...) })
}

// sealed is a packet as one sends it who has the key: memberlist's form of version 1.
func (f *fleet) sealed(body []byte) []byte {
	text, err := os.ReadFile(f.key)
	if err != nil {
		f.t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		f.t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		f.t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		f.t.Fatal(err)
	}
	const name, version, labelled = "default", 1, 244
	nonce := make([]byte, gcm.NonceSize())
	_, _ = crand.Read(nonce)
	packet := append([]byte{labelled, byte(len(name))}, name...)
	packet = append(append(packet, version), nonce...)
	return gcm.Seal(packet, nonce, body, []byte(name))
}

// strangers are one who has another key, one who sends what makes no sense, and one who
// seals that with the key.
func (f *fleet) strangers() {
	other := f.add("stranger", "10.77.9.1", keyFile(f.t))
	other.services = map[string]int{"all": 6666}
	other.write(f.t)
	other.Run()
	other.watch(f.t)
	target := f.list[0]
	const ours = 8 // which memberlist calls a user's message
	for i := range 2000 {
		body := make([]byte, rand.IntN(1400))
		_, _ = crand.Read(body)
		if len(body) > 0 && i%2 == 0 {
			body[0] = byte(rand.IntN(16)) // as kinds of messages begin
			if i%3 == 0 {
				body[0] = ours
			}
		}
		udp, err := other.dial("udp", net.JoinHostPort(target.address, "7946"))
		if err != nil {
			f.t.Fatal(err)
		}
		if i%4 < 2 {
			body = f.sealed(body)
		}
		_, _ = udp.Write(body)
		_ = udp.Close()
		if i%20 == 0 {
			tcp, err := other.dial("tcp", net.JoinHostPort(target.address, "7946"))
			if err != nil {
				f.t.Fatal(err)
			}
			_, _ = tcp.Write(body)
			_ = tcp.Close()
		}
	}
	heddletest.Eventually(f.t, "the strangers to be told of", func() error {
		log := target.Log.String()
		for _, part := range []string{"no installed keys could decrypt", "a message of gossip is not understood, and ignored"} {
			if !strings.Contains(log, part) {
				return fmt.Errorf("no %q in the log:\n%s", part, log)
			}
		}
		return nil
	})
	if lines := strings.Count(target.Log.String(), "\n"); lines > 300 {
		f.t.Errorf("%d lines of log", lines)
	}
	agree(f.t, "with strangers about", f.list)
	steady(f.t, "strangers were about", f.list, 0)
	other.End()
}

// killed has ten hosts end without a word at once, and start again.
func (f *fleet) killed() {
	some := []*host{}
	for _, i := range rand.Perm(len(f.list))[:10] {
		some = append(some, f.list[i])
	}
	each(some, func(h *host) { h.Kill() })
	for i, h := range some {
		if i%2 == 0 {
			delete(h.services, "all") // which ended with its host
			h.write(f.t)
		}
		h.Run()
	}
	for _, h := range some {
		h.watch(f.t)
	}
	agree(f.t, "after ten were killed and started again", f.list)
	for i, h := range some {
		if i%2 == 0 {
			h.begins(f.t, "all", 1000)
		}
	}
	agree(f.t, "when they run all again", f.list)
}

// sameName has a second host come with the name of one that is there: it ends, and says why.
func (f *fleet) sameName() {
	each(f.list, func(h *host) { h.since() })
	first := f.list[5]
	second := f.add(first.name, "10.77.9.2", f.key)
	second.services = map[string]int{"twice": 6667}
	second.write(f.t)
	second.Run()
	select {
	case <-second.Exited():
	case <-time.After(heddletest.Patience):
		f.t.Fatal("the second host of a name goes on")
	}
	if log := second.Log.String(); second.Err() == nil || !strings.Contains(log, "give this host another name") {
		f.t.Errorf("the second host of a name ended with %v:\n%s", second.Err(), log)
	}
	heddletest.Eventually(f.t, "the name to be told of", func() error {
		for _, h := range f.list {
			if strings.Contains(h.Log.String(), "two hosts have the same name") {
				return nil
			}
		}
		return fmt.Errorf("no host says so")
	})
	time.Sleep(5 * time.Second)
	agree(f.t, "when the second of a name is gone", f.list)
	steady(f.t, "two hosts had one name", f.list, 0)
}

// parted cuts the network in two for a minute, in which each part goes on.
func (f *fleet) parted() {
	half := len(f.list) / 2
	parts := [][]*host{f.list[:half], f.list[half:]}
	each(f.list, func(h *host) { h.since() })
	cut := func(action string) {
		for i, part := range parts {
			each(part, func(h *host) {
				h.run(f.t, "iptables", "-w", action, "INPUT", "-s", fmt.Sprintf("10.77.%d.0/24", 1-i), "-j", "DROP")
			})
		}
	}
	cut("-A")
	since := time.Now()
	time.Sleep(10 * time.Second)
	for _, part := range parts {
		for i, h := range part[:5] {
			h.ends(f.t, "all")
			h.begins(f.t, "meanwhile-"+h.name, 4000+i)
		}
		restarted := part[6] // and what it ran is gone
		restarted.Kill()
		restarted.services = map[string]int{"anew-" + restarted.name: 5000}
		restarted.write(f.t)
		restarted.Run()
		restarted.watch(f.t)
	}
	time.Sleep(time.Minute - time.Since(since))
	for _, h := range f.list {
		h.mu.Lock()
		// Of its own part's, five have ended and one was on the host that was restarted.
		if fewest, told := h.fewest["all"]; told && fewest < half-6 && h != parts[0][6] && h != parts[1][6] {
			f.t.Errorf("%s was told of %d copies at the least, and %d are in its own part", h.name, fewest, half-6)
		}
		h.mu.Unlock()
	}
	cut("-D")
	took := agree(f.t, "when the network is one again", f.list)
	if took > 45*time.Second {
		f.t.Errorf("that is long")
	}
}
