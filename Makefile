# Type `make help` for the targets.

GO        ?= go
FUZZTIME  ?= 30s
TESTFLAGS ?=
PREFIX    ?= /usr/local

VERSION := $(shell git describe --tags --match 'v*' --dirty 2>/dev/null || echo dev)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

# nomsgpack drops a codec that gin would bring along and nothing here speaks, the
# other tag HTTP/2, which Go speaks over TLS alone: that is the proxy's business.
export GOFLAGS := $(strip $(GOFLAGS) -tags=nomsgpack,nethttpomithttp2)
STATIC := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false \
	-ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)'

PLATFORMS := linux-amd64 linux-arm64 linux-armv7 linux-armv6 linux-386 linux-riscv64 \
	darwin-amd64 darwin-arm64 windows-amd64 windows-arm64

# SQLite itself, C turned into Go, and the arithmetic of hashes are compiled without the
# detector and take a quarter of the time: the memory that SQLite works on is not Go's,
# so nothing would be watched there, nor are its pointers for Go to check. The packages
# around them stay: what those make of generic code is linked for everybody.
# A program with the detector sleeps for a second as it ends, and the tests end many.
export GORACE ?= atexit_sleep_ms=10
export RACE := -race -gcflags=modernc.org/...=-d=checkptr=0 -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=github.com/go-crypt/x/...=-race=false

# Tests that run without it: of pages in a browser, of memory, and long comparisons in
# which nothing runs beside anything. They share compiled packages with the build.
PLAIN := ^(TestRealPages|TestAccessibility|TestScript|TestSignInInBrowser|TestSecondFactorInBrowser|TestPasskeyInABrowser|TestHomeScreen|TestKeyboard|TestLayout|TestSignOutElsewhere|TestSignOutWithoutScript|TestCost|TestUAPCore|TestParseAsUAPGoDoes|TestSessionsAgainstAll|TestSearchFindsWhatIsShown|TestHugePageNumbers|TestAYearOfAlerts|TestMemoryComesBack|TestBehindPgBouncer|TestEndedAreListedWhole|TestHalfASignInOpensNothing|TestEveryUnsafeRouteRefusesOtherOrigins)$$

# Debian keeps nginx where only root looks.
export PATH := $(PATH):/usr/sbin

# A test whose tool (browser, proxy, node) is missing skips itself, or fails when
# LASTSEEN_TEST_REQUIRE is 1, as it is in CI.
ifeq ($(CI),true)
export LASTSEEN_TEST_REQUIRE ?= 1
endif

.PHONY: build run demo test test-postgres lint bench fuzz torture install release $(PLATFORMS) screenshots clean help go

build: go ## build bin/lastseen, one static binary
	$(STATIC) -o bin/lastseen .

run: build ## build, then serve from ./data
	bin/lastseen serve

demo: build ## build, then show a throwaway instance with sample data
	bin/lastseen demo

# What takes longest is begun first, and what waits for a database has company. Only `make
# lint` vets.
test: go ## run every test, with the race detector where there is a C compiler
	@.ci/test-tools
	@failed=0; set -x; if ! command -v gcc >/dev/null; then CGO_ENABLED=0 $(GO) test -trimpath $(TESTFLAGS) ./...; else \
	CGO_ENABLED=1 $(GO) test $(RACE) -vet=off -p 3 -parallel 4 -skip '$(PLAIN)' $(TESTFLAGS) ./e2e ./web ./db/postgres ./... || failed=1; \
	CGO_ENABLED=0 $(GO) test -trimpath -vet=off -p 3 -run '$(PLAIN)' $(TESTFLAGS) ./web/... ./db/... ./app/... ./e2e || failed=1; \
	{ set +x; } 2>/dev/null; exit $$failed; fi

test-postgres: go ## run the tests of the app and the web on PostgreSQL
	@.ci/test-tools
	LASTSEEN_TEST_POSTGRES=1 CGO_ENABLED=0 $(GO) test -trimpath -vet=off $(TESTFLAGS) ./app ./web

lint: go ## check format, vet, 32 bits, staticcheck and known vulnerabilities
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) -C bench vet ./...
	$(GO) -C deploy/release vet ./...
	GOOS=linux GOARCH=386 CGO_ENABLED=0 $(GO) build -o /dev/null . # where an int has 32 bits
	$(GO) tool staticcheck ./...
	@.ci/vulncheck

bench: build ## measure beside a bare server and PocketBase (15 minutes, 1 GB in the cache); QUICK=1: two; GROWTH=1000,100000: over these numbers of sessions; STORE=postgres: on PostgreSQL
	@.ci/test-tools bench
ifdef GROWTH
	$(GO) -C bench run . -growth $(GROWTH) -quick -json ../bin/growth.json
else ifdef QUICK
	$(GO) -C bench run . -quick $(if $(STORE),-store $(STORE)) -json ../bin/bench.json
else ifdef STORE
	$(GO) -C bench run . -store $(STORE) -json ../bin/$(STORE).json
else
	cd bench/peer && GOFLAGS= CGO_ENABLED=0 $(GO) build -o ../../bin/peer .
	$(GO) -C bench run . -peer ../bin/peer -json ../bin/bench.json
endif

fuzz: go ## run each fuzz test for FUZZTIME (30s)
	@list=$$($(GO) test -list '^Fuzz' ./...) || { echo "$$list"; exit 1; }; echo "$$list" | \
	awk '/^Fuzz/ {names[++n] = $$1} /^ok/ {for (i = 1; i <= n; i++) print $$2, names[i]; n = 0}' | \
	while read -r package name; do \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$package || exit; \
	done

torture: go ## run the long forms of the tests, for hours, and print their figures
	@GO="$(GO)" .ci/torture

PROGRAM := bin/lastseen

install: into := $(DESTDIR)$(PREFIX)
install: ## put what `make` built below PREFIX (/usr/local), with a unit and completions
	@test -x $(PROGRAM) || { echo "There is no $(PROGRAM) yet: run make first, as yourself." >&2; exit 1; }
	install -D $(PROGRAM) $(into)/bin/lastseen
	sed 's,/usr/local/,$(PREFIX)/,' deploy/lastseen.service | install -Dm644 /dev/stdin $(into)/lib/systemd/system/lastseen.service
	$(PROGRAM) completion bash | install -Dm644 /dev/stdin $(into)/share/bash-completion/completions/lastseen
	$(PROGRAM) completion zsh | install -Dm644 /dev/stdin $(into)/share/zsh/site-functions/_lastseen
	$(PROGRAM) completion fish | install -Dm644 /dev/stdin $(into)/share/fish/vendor_completions.d/lastseen.fish

release: clean $(PLATFORMS) ## build dist/: programs, tarballs, packages, an image, for every platform, the same bytes each time
	$(GO) -C deploy/release run . -version $(VERSION) -commit $(COMMIT) -epoch $$(git log -1 --format=%ct)
	cat dist/SHA256SUMS

# linux-armv7 means GOOS=linux GOARCH=arm GOARM=7.
$(PLATFORMS): arch = $(word 2,$(subst -, ,$@))
$(PLATFORMS): go
	GOOS=$(word 1,$(subst -, ,$@)) GOARCH=$(patsubst armv%,arm,$(arch)) GOARM=$(patsubst armv%,%,$(filter armv%,$(arch))) \
	$(STATIC) -o dist/lastseen-$@$(if $(filter windows-%,$@),.exe) .

screenshots: go ## take the README's picture anew
	$(GO) test ./web -run TestPicture -count=1 -picture $(CURDIR)/docs/sessions.png

clean: ## remove bin/ and dist/
	rm -rf bin dist

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

go:
	@command -v $(GO) >/dev/null || { echo "Lastseen is built with Go 1.26 or newer, and there is no \`$(GO)\` here: install it from https://go.dev/dl/ and try again." >&2; exit 1; }
