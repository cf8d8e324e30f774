# Heddle. `make` alone lists the targets; CONTRIBUTING.md says more.

SHELL := /bin/bash
BIN   := bin/heddle
ARGS  ?=
DURATION ?= 30m

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

.PHONY: build
build: ## build bin/heddle, and bin/heddle-agent for hosts that need no more
	@[ -x $(BIN) ] || echo "building $(BIN): the first time this takes some minutes …" >&2
	@go build -o $(BIN) ./cmd/heddle
	@go build -o $(BIN)-agent ./cmd/heddle-agent

.PHONY: demo
demo: build ## run the sample mesh with real Envoys; ARGS='--once --json' plays the whole scenario
	@hack/envoy.sh >&2
	@$(BIN) demo $(ARGS)

.PHONY: test
test: ## install what the tests need, then run all of them, with the race detector
	@hack/test.sh all

.PHONY: test-quick
test-quick: ## the tests of the inner loop, in under 3 minutes
	@hack/test.sh quick

.PHONY: soak
soak: ## random changes, load and faults for a while, with real Envoys; DURATION=30m
	@hack/envoy.sh >&2
	@go test ./test -run '^TestSoak$$' -count=1 -v -timeout 0 -args -soak $(DURATION)

.PHONY: conformance-gateway-api
conformance-gateway-api: ## the official tests of the Gateway API, with a real API server and Envoys; ARGS=-update writes what passes into docs/gateway-api.md
	@hack/envoy.sh >&2
	@hack/kube.sh >&2
	@cd test/gatewayapi && go test -run '^TestConformance$$' -count=1 -v -timeout 25m . $(if $(ARGS),-args $(ARGS))

.PHONY: test-terraform
test-terraform: ## the Terraform modules with the real provider, which is built the first time (a quarter of an hour of CPU): init, validate, terraform test; ARGS=-update writes what of its schema the tests of every day use
	@hack/test-terraform.sh $(ARGS)

.PHONY: check
check: ## formatting, vet, linter, tidy go.mod, generated code, import rules
	@hack/check.sh

.PHONY: generate
generate: ## generate code and reference pages anew
	@hack/generate.sh

.PHONY: tools
tools: ## install the development tools into .tools/
	@hack/envoy.sh
	@hack/kube.sh
	@hack/node.sh
	@hack/axe.sh
	@hack/contour.sh
	@hack/cloud-init.sh
	@hack/terraform.sh
	@hack/tools.sh

.PHONY: image
image: ## build the container image; IMAGE=registry.example.com/heddle:1.0.0, BASE=debian:bookworm-slim
	@IMAGE="$(IMAGE)" BASE="$(BASE)" hack/image.sh

.PHONY: bench
bench: bench-registration bench-fanout bench-xds bench-authz bench-ui ## all benchmarks; each prints a table and writes .bench/<name>.json

.PHONY: bench-registration
bench-registration: ## registration to first routed request through a real Envoy, each leg
	@hack/envoy.sh >&2
	@go run ./bench/spine registration

.PHONY: bench-fanout
bench-fanout: ## catalog change to the last of 100 streams, beside a raw gRPC send
	@go run ./bench/spine fanout

.PHONY: bench-xds
bench-xds: build ## cold starts and changes of up to 1,000 streams, beside a raw gRPC server and go-control-plane; ARGS='-only heddle -size small'
	@go build -o bin/bench-xds ./bench/xds
	@go build -C bench/xds/peers -o "$(CURDIR)/bin/bench-xds-peers" .
	@bin/bench-xds $(ARGS)

.PHONY: bench-authz
bench-authz: build ## checks of the AuthZ service, requests through two sidecars, validation of tokens; ARGS='-only mesh -rounds 2 -time 1s'
	@hack/envoy.sh >&2
	@hack/system.sh redis-server >&2
	@go build -o bin/bench-authz ./bench/authz
	@bin/bench-authz $(ARGS)

.PHONY: bench-kubernetes
bench-kubernetes: ## an EndpointSlice's change to the last proxy, beside another watcher; memory and restarts of the operator with 5,000 pods of 500 services; the same change of one service that has all 5,000
	@hack/kube.sh >&2
	@go test ./test/kubernetes -run '^TestSpeed' -count=1 -v -timeout 20m -args -speed-services 500 -speed-pods 5000 -speed-rounds 200

.PHONY: bench-interception
bench-interception: ## requests that the kernel redirects to the sidecar, beside those sent to it; connections to the outside, beside those left alone; as root
	@go test ./test -run '^TestInterceptionSpeed$$' -count=1 -v -timeout 20m -args -intercept-rounds 10

.PHONY: bench-haproxy
bench-haproxy: ## a copy that changes in the catalog to the first request that HAProxy sends to it, beside one bare command to HAProxy and beside a reload
	@hack/system.sh haproxy >&2
	@go test ./internal/proxy/haproxy -run '^$$' -bench Change -skip /reload -benchtime 200x && go test ./internal/proxy/haproxy -run '^$$' -bench Change/.*reload -benchtime 20x

.PHONY: bench-azure
bench-azure: ## 10,000 machines of 20 Azure subscriptions: calls and memory of a listing, by Resource Manager and by Resource Graph; what refreshes cost a server; a machine's change to the last proxy, beside an instance that is registered
	@hack/envoy.sh >&2
	@go test ./internal/discovery/azure -run '^$$' -bench Listing -benchtime 3x -benchmem
	@go test ./internal/discovery -run '^$$' -bench Keep -benchmem
	@go test ./test -run '^TestMachinesSpeed$$' -count=1 -v -timeout 10m -args -azure-machines 9990 -azure-services 500 -azure-rounds 36

.PHONY: bench-gossip
bench-gossip: ## hosts' gossip in fleets of 30, 1,000 and 5,000, simulated, beside memberlist's own broadcasts; 100 and 300 real ones in one process; then thirty real agents: a file's change and a container's start to the last host, what an idle agent takes, and all faults; a container's start to an answer on another host; as root
	@go test ./internal/gossip -run '^$$' -bench 'Gossip|Defaults' -benchtime 1x -timeout 20m
	@go test ./test/hosts -count=1 -v -timeout 40m -args -rounds 100
	@hack/envoy.sh >&2
	@go test ./test -run '^TestContainersAreReachedSoon$$' -count=1 -v -args -container-rounds 50

.PHONY: bench-ui
bench-ui: build ## pages, topology, explain and lists at 2,000 services and 20,000 instances, beside a handler that does nothing; ARGS='-services 300 -rounds 10'
	@go run ./bench/ui -heddle $(BIN) $(ARGS)
