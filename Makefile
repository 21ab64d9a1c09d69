# Everything is done by the go command; this names the usual ways to call it.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
IMAGE   ?= pgwitness:$(VERSION)
GO      ?= go

# Of the suite two packages run at a time, and of each the tests that mostly wait together (t.Parallel), whatever the number
# of processors.
SUITE = $(GO) test -tags integration -count=1 -p 2 -parallel 6 -timeout 60m

.PHONY: help build demo test unit fuzz integration nemesis lint image release vulnerabilities
.PHONY: bench bench-quick bench-latency bench-source bench-growth bench-hold bench-start bench-micro profile
export ROWS BIG WORKLOADS CONTESTANTS WAYS LOADS CLIENTS RATES LATENCY_SECONDS GROWTHS FULL

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the binary, static: bin/pgwitness
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/pgwitness ./cmd/pgwitness

demo: ## a short story on servers of its own; KEEP=1 leaves them up
	KEEP=$(KEEP) $(GO) run ./integration/demo

test: unit lint integration ## all of the next three

unit: ## tests without servers, with the race detector
	$(GO) test -race -shuffle=on ./...

fuzz: ## hostile messages and values for FUZZTIME each (30s)
	$(GO) test -run '^$$' -fuzz '^FuzzMessages$$' -fuzztime $(or $(FUZZTIME),30s) ./decode
	$(GO) test -run '^$$' -fuzz '^FuzzValue$$' -fuzztime $(or $(FUZZTIME),30s) ./decode
	$(GO) test -run '^$$' -fuzz '^FuzzContext$$' -fuzztime $(or $(FUZZTIME),30s) ./decode
	$(GO) test -run '^$$' -fuzz '^FuzzScan$$' -fuzztime $(or $(FUZZTIME),30s) -fuzzminimizetime 10x ./capture/witness
	$(GO) test -run '^$$' -fuzz '^FuzzBody$$' -fuzztime $(or $(FUZZTIME),30s) -fuzzminimizetime 10x ./capture/witness

lint: ## gofmt, go vet, staticcheck
	@files=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$files" ]; then echo "not gofmt-formatted:" $$files; exit 1; fi
	$(GO) vet -tags integration ./...
	$(GO) tool staticcheck -tags integration ./...

integration: ## the suite on real servers (see integration/servers for where they come from)
	$(SUITE) -v ./integration/servers
	$(SUITE) $$($(GO) list -tags integration ./integration/... | grep -v '/integration/servers$$')

nemesis: ## random disturbances in rounds of about 20 s, ROUNDS=500 of them; SEED=… plays rounds again
	NEMESIS_ROUNDS=$(or $(ROUNDS),10) NEMESIS_SEED=$(SEED) NEMESIS_SHRINK=1 \
		$(GO) test -tags integration -count=1 -v -timeout 0 -run TestRounds ./integration/nemesis

# Benchmarks print tables and keep them, with every single run, in build/bench (docs/performance.md).
BENCH = $(GO) test -tags integration -count=1 -v -timeout 0 -run '^$$' -benchtime $(or $(ROUNDS),5)x ./integration/bench -bench

bench: ## catch-up of all WORKLOADS by all CONTESTANTS in ROUNDS (5): ROWS=600000 BIG=5000000
	$(BENCH) CatchUp

bench-quick: ## the same in two minutes: two workloads, without Debezium
	$(MAKE) bench ROUNDS=2 ROWS=$(or $(ROWS),200000) WORKLOADS=inserts,single-updates CONTESTANTS=pg_recvlogical-tcp,pgwitness-tcp,pg_recvlogical-socket,pgwitness-socket

bench-latency: ## commit to visible and to confirmed, at RATES=200,2000,80% in each of WAYS
	$(BENCH) Latency -benchtime 1x

bench-source: ## what the source pays: transactions a second under each of WAYS, and bytes of WAL a change
	$(BENCH) 'Source|Identity'

bench-growth: ## rate and memory while columns, tables, partitions, rows, transactions, backlogs grow; FULL=1 to the end
	$(BENCH) Growth -benchtime 1x

bench-hold: ## what hold costs: transactions a second, in ROUNDS (5) of five seconds for each of eight ways
	$(BENCH) 'Hold|Bystander'

bench-start: ## a run that delivers one row, by the partitions of its topic: seconds, and requests of the broker
	$(BENCH) Start

bench-micro: ## decoding, encoding and batches alone, COUNT (6) times; OLD=FILE compares with an earlier build/bench/micro.txt
	@mkdir -p build/bench
	$(GO) test -run '^$$' -bench . -benchmem -count $(or $(COUNT),6) ./decode ./publish ./capture/... >build/bench/micro.txt
	$(GO) tool benchstat $(OLD) build/bench/micro.txt

profile: ## where a catch-up spends processor time and allocates: build/profile/cpu.pprof, allocs.pprof; WORKLOADS=inserts
	@mkdir -p build/profile
	$(GO) build -tags profile -o build/profile/pgwitness ./cmd/pgwitness
	PGWITNESS_PROFILE=$(CURDIR)/build/profile PGWITNESS_TEST_BINARY=$(CURDIR)/build/profile/pgwitness \
		$(MAKE) bench ROUNDS=1 WORKLOADS=$(or $(WORKLOADS),inserts) CONTESTANTS=$(or $(CONTESTANTS),pgwitness-tcp)
	$(GO) tool pprof -top -nodecount 25 build/profile/pgwitness build/profile/cpu.pprof
	$(GO) tool pprof -sample_index alloc_objects -top -nodecount 15 build/profile/pgwitness build/profile/allocs.pprof

image: ## a container image with the static binary, which runs as nobody
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

# The same sources, version and Go release give the same bytes on every machine.
RELEASE ?= build/release
release: ## static binaries for linux on amd64 and arm64, their checksums and what is in them: build/release
	@mkdir -p $(RELEASE)
	for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch GOFLAGS= $(GO) build -trimpath -buildvcs=false \
			-ldflags '-s -w -buildid= -X main.version=$(VERSION)' -o $(RELEASE)/pgwitness-linux-$$arch ./cmd/pgwitness || exit; \
	done
	$(GO) run ./integration/sbom $(VERSION) $(RELEASE)/pgwitness-linux-amd64 $(RELEASE)/pgwitness-linux-arm64
	cd $(RELEASE) && sha256sum pgwitness-linux-* >SHA256SUMS

# Exact, so that the same tool judges everywhere. It fetches itself and Go's vulnerability database.
vulnerabilities: ## known vulnerabilities that the binary can reach; it needs the network (docs/security.md)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./cmd/pgwitness
