package mesh

import "testing"

func TestOwnHostFaults(t *testing.T) {
	for address, refused := range map[string]bool{
		"127.0.0.1": true, "127.1.2.3": true, "::1": true, "::ffff:127.0.0.1": true, "::ffff:7f00:1": true, "0:0:0:0:0:0:0:1": true,
		"169.254.169.254": true, "::ffff:169.254.169.254": true, "fe80::1": true, "febf::1": true,
		"10.0.0.1": false, "128.0.0.1": false, "126.255.255.255": false, "169.253.0.1": false, "::ffff:10.0.0.1": false, "fd00::1": false, "2001:db8::1": false, "::2": false,
	} {
		service := Service{Endpoints: Endpoints{Static: []StaticEndpoint{{Address: "10.0.0.2"}, {Address: address}}}}
		if faults := service.OwnHostFaults(); (len(faults) == 1 && faults[0].Path == "endpoints.static[1].address") != refused || len(faults) > 1 {
			t.Errorf("a service at %s: %v", address, faults)
		}
		if faults := (&Instance{Address: address}).OwnHostFaults(); (len(faults) == 1) != refused {
			t.Errorf("an instance at %s: %v", address, faults)
		}
	}
	for host, refused := range map[string]bool{"localhost": true, "LocalHost.": true, "a.localhost": true, "localhost.example": false, "notlocalhost": false} {
		service := Service{Endpoints: Endpoints{DNS: &DNSEndpoints{Host: host}}}
		if faults := service.OwnHostFaults(); (len(faults) == 1) != refused {
			t.Errorf("at %s: %v", host, faults)
		}
	}
}
