GO ?= go
GOLANGCI_LINT ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK ?= $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.8.0
FUZZTIME ?= 30s

# RACE is the race detector without checkptr, which inspects conversions of unsafe pointers:
# only dependencies have those. RACE excludes from the detector SQLite, which is translated
# from C, and the password hashes. Neither shares memory between goroutines, and watching
# them takes several times as long. No package may be excluded that uses sync.Map: the linker
# may take its copy of that generic code for the whole program, and everybody's uses of it
# are reported then. "go vet" takes the same flags, so that it compiles nothing more.
RACE = -race -gcflags='all=-d=checkptr=0' -gcflags='modernc.org/...=-race=false' -gcflags='golang.org/x/crypto/...=-race=false'

# PARALLEL runs more tests at once than there are processors, because stories mostly
# wait: for a deadline, for the disk, for a hash that another one computes.
PARALLEL = -p 2 -parallel 4

# LEAN saves time of tests: their files are in memory, there is less garbage collection,
# and no process waits a second for data races at its end. Go's own files stay on the disk.
LEAN = GOTMPDIR=$${TMPDIR:-/tmp} TMPDIR=$$(.ci/tempdir) GOGC=400 GORACE=atexit_sleep_ms=0

# LONGEST are the packages that begin first, so that none of them is still running alone
# at the end.
LONGEST = ./storage/gormstore $(addprefix ./test/e2e/,privacy admin operations page resilience signin replicas console tokens docs delivery accounts)

# EXAMPLES are modules of their own: servers of other teams that import the grants.
EXAMPLES = grantsonly withgormstore signinpage authorizationcode

# CHAOS is how long "make chaos" causes faults. SEED repeats their order; 0: a new one.
CHAOS ?= 3m
SEED ?= 0

.PHONY: help test test-module test-examples check build release image deploy-test lint vuln bench bench-costs bench-delivery bench-console chaos fuzz docs strangers module oidc-basic visitors browser

# help lists the targets.
help:
	@awk -F: '/^# / { about = substr($$0, 3) } /^[a-z-]+:/ { sub(/^[^ ]+ /, "", about); printf "%-16s %s\n", $$1, about }' Makefile

# test runs all tests on SQLite and PostgreSQL, with the race detector except for allocations.
test:
	.ci/postgresql
	.ci/pgbouncer
	test -z "$$(gofmt -l .)"
	$(GO) vet $(RACE) -tags strangers,deployment ./...
	$(MAKE) --no-print-directory -j 2 test-module test-examples
	$(GO) test -vet=off ./test/e2e/load -run '^TestAllocations$$'

# test-module runs the tests of this module.
test-module:
	$(LEAN) $(GO) test $(RACE) -vet=off $(PARALLEL) -timeout 40m $(LONGEST) ./...

# test-examples runs the tests of the examples, which are modules of their own.
test-examples:
	for example in $(EXAMPLES); do (cd docs/examples/$$example && $(GO) vet $(RACE) ./... && $(GO) test $(RACE) -vet=off ./...) || exit 1; done

# check runs what is quick: format, vet, and the tests without end-to-end stories, poolers and standbys.
check:
	.ci/postgresql
	.ci/pgbouncer
	test -z "$$(gofmt -l .)"
	$(GO) vet -tags strangers,deployment,browser ./...
	$(LEAN) $(GO) test -short -vet=off $(PARALLEL) ./storage/gormstore ./cmd/... $$($(GO) list ./... | grep -v /test/e2e/)

# build makes a static binary in bin, with version, commit and date.
build:
	$(GO) run ./deploy/release binary

# release makes archives for linux, with checksums and a list of components, in dist.
release:
	$(GO) run ./deploy/release archives

# image makes an OCI image layout in dist/image.
image:
	$(GO) run ./deploy/release image

# deploy-test checks image, archives, unit, chart, alerts, and proxies under restarts.
deploy-test:
	.ci/deployment
	.ci/postgresql
	$(GO) test -tags deployment ./test/e2e/deployment -count 1 -timeout 20m -v

# lint runs golangci-lint.
lint:
	$(GOLANGCI_LINT) run
	for example in $(EXAMPLES); do (cd docs/examples/$$example && $(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yml) || exit 1; done

# vuln looks for known vulnerabilities.
vuln:
	$(GOVULNCHECK) ./...
	for example in $(EXAMPLES); do (cd docs/examples/$$example && $(GOVULNCHECK) ./...) || exit 1; done

# bench measures the hot paths against a bare handler, and with a million users, in about ten minutes.
bench:
	.ci/postgresql
	$(GO) test ./test/e2e/load -run '^$$' -bench '^Benchmark(Load|Scale)$$' -benchtime 1x -timeout 30m $(BENCHFLAGS)

# bench-costs measures what a request costs: processor time of each process, memory, writes.
bench-costs:
	.ci/postgresql
	$(GO) test ./test/e2e/load -run '^$$' -bench '^BenchmarkCosts$$' -benchtime 1x

# chaos lets three replicas, their database and the receiver fail at random for CHAOS.
chaos:
	.ci/postgresql
	$(GO) test ./test/e2e/chaos -run '^TestChaos$$' -count 1 -v -timeout 60m -duration $(CHAOS) -seed $(SEED)

# fuzz runs each fuzz target for FUZZTIME.
fuzz:
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z]*' . | sed 's/:func / /' | sort | while read -r file target; do \
		$(GO) test "$$(dirname "$$file")" -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) || exit 1; \
	done

# docs writes docs/CONFIG.md from the settings, and docs/APPLY.md and its schema.
docs:
	$(GO) test ./config -run TestReference -update
	$(GO) test ./cmd/latchkey/apply -run TestReference -update

# bench-delivery measures a backlog to a slow receiver, and others while one hangs.
bench-delivery:
	.ci/postgresql
	$(GO) test ./test/e2e/load -run '^$$' -bench '^BenchmarkDelivery$$' -benchtime 1x

# bench-console measures every screen of the console with 100,000 users and 1,000 clients, in about two minutes.
bench-console:
	.ci/postgresql
	$(GO) test -tags browser ./test/e2e/console -run '^TestScale$$' -count 1 -parallel 1 -timeout 15m -v

# strangers lets clients, gateways and SDKs that others wrote use the server.
strangers:
	.ci/postgresql
	.ci/gateways
	.ci/chromium
	$(GO) test -tags strangers ./test/e2e/strangers -run '^TestStrangers$$' -timeout 15m -v

# module writes a copy of the source to OUT, with the module path MODULE.
module:
	@.ci/module "$(MODULE)" "$(OUT)"

# oidc-basic runs the modules of OpenID's certification plans for Basic OPs and for logout.
oidc-basic:
	.ci/postgresql
	$(GO) test ./test/e2e/page -run '^TestCertification' -count 1 -v

# visitors sends 100,000 requests without a cookie to the sign-in page, and counts rows and statements.
visitors:
	.ci/postgresql
	$(GO) test ./test/e2e/page -run '^TestStatements$$' -count 1 -v -visitors 100000

# browser uses the sign-in pages and the console with Chromium, and inspects them with axe-core.
browser:
	.ci/postgresql
	.ci/chromium
	$(GO) test -tags browser -p 1 ./test/e2e/page ./test/e2e/console -run '^TestBrowser$$' -count 1 -timeout 40m -v

# screenshots writes pictures of all screens of the console to docs/console.
screenshots:
	.ci/chromium
	rm -f docs/console/*.png
	SCREENSHOTS=$(CURDIR)/docs/console ONLY=pictures $(GO) test -tags browser ./test/e2e/console -run '^TestBrowser$$/^databases$$/^sqlite$$' -count 1 -timeout 25m -v
