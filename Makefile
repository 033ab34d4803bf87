# make test is the one command that passes the tests; it brings what it needs.

GO ?= go
GOLANGCI_LINT ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK ?= $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.8.0
FUZZTIME ?= 30s

# The race detector watches everything but SQLite, a translation from C, and the
# password hashes, which have no goroutines to share anything with: watching them
# as well takes several times as long.
RACE = -race -gcflags='modernc.org/...=-race=false' -gcflags='golang.org/x/crypto/...=-race=false'

# EXAMPLE is a module of its own: somebody else's server that takes our grants.
EXAMPLE = docs/examples/fositeserver

.PHONY: test build lint vuln bench bench-delivery fuzz docs strangers

test:
	.ci/postgresql
	$(GO) vet -tags strangers ./...
	test -z "$$(gofmt -l .)"
	$(GO) test $(RACE) -timeout 40m ./...
	cd $(EXAMPLE) && $(GO) vet ./... && $(GO) test $(RACE) ./...

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/latchkey ./cmd/latchkey

lint:
	$(GOLANGCI_LINT) run
	cd $(EXAMPLE) && $(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yml

vuln:
	$(GOVULNCHECK) ./...
	cd $(EXAMPLE) && $(GOVULNCHECK) ./...

# bench prints what the hot paths do, next to a bare handler, and the memory of
# a server that issues many tokens. It takes some three minutes.
bench:
	.ci/postgresql
	$(GO) test ./cmd/latchkey -run '^$$' -bench '^BenchmarkLoad$$' -benchtime 1x -timeout 15m $(BENCHFLAGS)

# fuzz gives each fuzz target its time, one after the other.
fuzz:
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z]*' . | sed 's/:func / /' | sort | while read -r file target; do \
		$(GO) test "$$(dirname "$$file")" -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) || exit 1; \
	done

docs:
	$(GO) test ./config -run TestReference -update

# A backlog to a slow receiver, and everybody else while one hangs.
bench-delivery:
	.ci/postgresql
	$(GO) test ./cmd/latchkey -run '^$$' -bench '^BenchmarkDelivery$$' -benchtime 1x

# strangers lets programs that others wrote use the server: clients and resource
# servers from npm, gateways from Debian, the vendors' own SDKs.
strangers:
	.ci/postgresql
	.ci/gateways
	$(GO) test -tags strangers ./cmd/latchkey -run '^TestStrangers$$' -timeout 15m -v
