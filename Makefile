# `make run` shows Xinglin on http://127.0.0.1:8080, `make test` proves it; ARCHITECTURE.md is the map.
# Every target works from a fresh clone and does only what is out of date.

BIN       := bin/xinglin
HSM       := bin/xinglin-hsm
TOOL      := go tool -modfile=tools/go.mod
GO_DIRS   := $(wildcard cmd internal test)
INSIDE    := $(patsubst %,./%/...,$(filter-out test,$(GO_DIRS))) ./web
OUTSIDE   := ./test/...
PKGS      := $(INSIDE) $(OUTSIDE)
NPM       := npm --prefix web
NPM_DONE  := web/node_modules/.package-lock.json
WEB_APPS  := m console wall
WEB_INDEX := $(WEB_APPS:%=web/dist/%/index.html)
WEB_SRC   := $(shell find web \( -name node_modules -o -path web/dist -o -path web/e2e \) -prune -o -type f ! -name '*.go' -print)

# The tests take the program from here.
export XINGLIN_BIN := $(CURDIR)/$(BIN)

.NOTPARALLEL:
.PHONY: help build go web run check lint-go lint-web lint-leaks gosec test rush soak bench-booking clean packages runners

help:
	@echo "make run    build and serve the demo on http://127.0.0.1:8080"
	@echo "make build  bin/xinglin with the web inside, and bin/xinglin-hsm that loads modules for it"
	@echo "make web    only web/dist"
	@echo "make check  generated files, format, vet, staticcheck, architecture, secrets, eslint, vue-tsc"
	@echo "make gosec  gosec over the source: slow, and its findings want a person"
	@echo "make test   check and every test on both engines, in the browser too"
	@echo "make rush   the 8:00 with three killed processes, twenty seeds"
	@echo "make soak   the long forms of the tests"
	@echo "make bench-booking  measure how fast seats are sold, with every gate"
	@echo "make clean  remove what was built (not .data)"

## The program

build: web
	@for f in $(WEB_INDEX); do test -s $$f || { echo "make build: $$f is missing: make web" >&2; exit 1; }; done
	@$(MAKE) --no-print-directory go

# Without the web the program still compiles; its app pages then answer 503.
go:
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o $(BIN) ./cmd/xinglin
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o $(HSM) ./cmd/xinglin-hsm

web: $(WEB_INDEX)

$(WEB_INDEX) &: $(NPM_DONE) $(WEB_SRC)
	$(NPM) run --silent build
	@for f in $(WEB_INDEX); do test -s $$f || { echo "make web: the build made no $$f" >&2; exit 1; }; done
	@touch $(WEB_INDEX)

$(NPM_DONE): web/package.json web/package-lock.json $(wildcard web/packages/*/package.json web/apps/*/package.json)
	@sh scripts/need.sh node
	$(NPM) ci --no-audit --no-fund
	@touch $@

run: build
	$(BIN) serve --data .data --listen 127.0.0.1:8080 --private 127.0.0.1:8081 --demo --demo-people 240 --demo-traffic 20

## The proof

check: build lint-go lint-web lint-leaks
	$(BIN) docs --check

lint-go:
	@bad=$$($(TOOL) gofumpt -l $(GO_DIRS) web/*.go) || exit 1; \
	if [ -n "$$bad" ]; then echo "not in gofumpt's form; type: $(TOOL) gofumpt -w $(GO_DIRS)"; echo "$$bad"; exit 1; fi
	CGO_ENABLED=0 go vet $(PKGS)
	CGO_ENABLED=0 $(TOOL) staticcheck $(PKGS)
	CGO_ENABLED=0 go test -count=1 ./internal/archtest

lint-web: $(NPM_DONE)
	$(NPM) run --silent lint
	$(NPM) run --silent typecheck
	$(NPM) run --silent gen:check

# What looks like a credential; tools/gitleaks.toml says what is none, and why.
lint-leaks:
	CGO_ENABLED=0 go tool -modfile=tools/gitleaks.mod gitleaks dir . --config tools/gitleaks.toml --no-banner --redact --verbose

# Two minutes of a processor and a 100 MB tool, so no part of check; what it finds is argued in docs/adr/0027.
gosec:
	CGO_ENABLED=0 go run github.com/securego/gosec/v2/cmd/gosec@v2.30.0 -quiet ./cmd/... ./internal/... ./web

# modernc.org is SQLite's C in Go's clothes, on memory of its own: watching each of its accesses finds nothing of
# ours and takes two fifths of the time.
RACE := -race -gcflags=modernc.org/...=-race=false

# What drives the program from outside runs without the race detector: it would watch the test and not the program.
# One PostgreSQL for the whole run; it ends with the run, however that ends. testsum
# prints failures in full, counts per package and engine, the slowest 20, and the
# closing line.
test: packages check runners
	.tools/bin/pgcluster .tools/bin/testsum \
		'go=CGO_ENABLED=1 go test $(RACE) -count=1 -timeout 20m -json $(INSIDE)' \
		'go=CGO_ENABLED=0 go test -count=1 -timeout 20m -json $(OUTSIDE)' \
		'vitest=$(NPM) test --silent -- --reporter=json' \
		'plain=$(NPM) run --silent budget' \
		'plain=$(NPM) run --silent e2e' \
		'plain=$(NPM) run --silent e2e:staff' \
		'plain=$(NPM) run --silent e2e:openid'

# Proof of the 8:00: twenty seeds of it on three processes that are killed. SEEDS="3 4" plays those.
SEEDS := 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19
rush: packages go
	@for s in $(SEEDS); do $(BIN) simulate rush --processes 3 --kill --seed $$s || exit 1; done

soak: packages build runners
	.tools/bin/pgcluster .tools/bin/testsum \
		'go=XINGLIN_SOAK=1 CGO_ENABLED=1 go test $(RACE) -count=1 -timeout 12h -json $(PKGS)'

## The measure: wants a quiet machine, says so when it is not
bench-booking: build
	@sh scripts/need.sh postgresql redis
	$(BIN) bench booking

packages:
	@sh scripts/need.sh go node postgresql chromium fonts gcc apache softhsm

runners:
	@CGO_ENABLED=0 go build -o .tools/bin/pgcluster ./internal/testkit/pgcluster/cmd
	@CGO_ENABLED=0 go build -o .tools/bin/testsum ./internal/testkit/testsum

clean:
	rm -rf bin .tools coverage web/node_modules $(WEB_APPS:%=web/dist/%)
