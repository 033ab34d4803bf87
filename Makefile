# make test is the one command that passes the tests; it brings what it needs.

GO ?= go
GOLANGCI_LINT ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK ?= $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.8.0
FUZZTIME ?= 30s

# The race detector watches everything but SQLite, a translation from C that has
# no goroutines of its own: watching it as well takes six times as long.
RACE = -race -gcflags='modernc.org/...=-race=false'

.PHONY: test build lint vuln bench bench-delivery fuzz docs

test:
	.ci/postgresql
	$(GO) vet ./...
	test -z "$$(gofmt -l .)"
	$(GO) test $(RACE) -timeout 20m ./...

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/latchkey ./cmd/latchkey

lint:
	$(GOLANGCI_LINT) run

vuln:
	$(GOVULNCHECK) ./...

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
