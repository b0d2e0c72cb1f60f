# Two commands do all the set-up: `make run` and `make test`. Both fetch the engine once and build what they need.

GO          ?= go
CONFIG      ?=
# A real Kafka broker's libraries for make test-kafka, from the packages that sink/kafka/kafkatest/pom.xml names.
KAFKA_LIBS := .kafka/libs

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.1.4
FUZZTIME    ?= 60s
CHROMIUM    ?= chromium
PLAYWRIGHT  := 1.65.1

# The local store's engine: ClickHouse as a library, from the npm package of the chDB project.
ENGINE_PACKAGE := @chdb/lib-linux-x64-gnu
ENGINE_VERSION := 26.7.3-stable.1
ENGINE_SHA256  := c0d32b129e988f2b9a9a31c9141aecf5e1e2453f9a079efc4d36ab8e3f92b2ad
ENGINE         := .engine/libchdb.so
# The image that fetches it has no Go.
ENGINE_ARCH    ?= $(or $(shell command -v $(GO) >/dev/null && $(GO) env GOARCH),$(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(shell uname -m))))

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# Helm's command, for make lint-deploy only.
HELM ?= $(GO) run helm.sh/helm/v3/cmd/helm@v3.19.0

# The packages. Without a tag the version is of the commit's day.
NFPM        := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
export DEB_ARCH           ?= $(ENGINE_ARCH)
export DEB_MAINTAINER     ?= $(shell git log -1 --format='%an <%ae>' 2>/dev/null)
export DEB_VERSION        ?= $(shell git describe --tags --match 'v[0-9]*' 2>/dev/null | sed 's/^v//; s/-/+/; s/-/./g' | grep . || git log -1 --date=format:%Y%m%d --format='0~git%cd.%h' 2>/dev/null)
export ENGINE_DEB_VERSION := $(subst -,+,$(ENGINE_VERSION))
export SOURCE_DATE_EPOCH  ?= $(shell git log -1 --format=%ct 2>/dev/null)

.PHONY: all build run test test-kafka test-routing test-clients test-image test-deb test-page test-hostile-page browser race demo bench pgo fuzz lint vulncheck pin-images lint-deploy fmt engine files deb rpm release cross clean help

all: build

build: ## build bin/collector
	$(GO) build -trimpath -ldflags "-X main.version=$(VERSION) $(LDFLAGS)" -o bin/collector ./collector

run: engine build ## run the collector on its local store (CONFIG=file for a configuration of yours)
	STORE_ENGINE=$${STORE_ENGINE:-$(CURDIR)/$(ENGINE)} bin/collector run $(if $(CONFIG),--config $(CONFIG))

test: engine ## run all tests, those against the real engine included
	$(GO) vet ./...
	$(GO) test -timeout 20m ./...
	$(MAKE) --no-print-directory cross

test-kafka: engine $(KAFKA_LIBS) ## test against a real Apache Kafka broker, with kcat and ClickHouse reading (Java 17, Maven, kcat)
	@command -v kcat >/dev/null || { echo "make test-kafka: kcat is missing: install it (Debian: apt-get install kcat)" >&2; exit 1; }
	KAFKA_LIBS=$(CURDIR)/$(KAFKA_LIBS) $(GO) test -count=1 -v -run '^TestBroker' -timeout 20m ./sink/kafka ./collector/service ./bench/compare

$(KAFKA_LIBS): sink/kafka/kafkatest/pom.xml
	@command -v java >/dev/null || { echo "make test-kafka: Java is missing: install it (Debian: apt-get install openjdk-17-jre-headless)" >&2; exit 1; }
	@command -v mvn >/dev/null || { echo "make test-kafka: Maven is missing: install it (Debian: apt-get install maven)" >&2; exit 1; }
	@echo "fetching the Kafka broker's libraries ..."
	@rm -rf $@ $@.new
	@mvn --quiet --batch-mode --file $< dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$@.new >&2 \
		|| { echo "make test-kafka: the packages of $< cannot be fetched" >&2; exit 1; }
	@mv $@.new $@ && touch $@

test-routing: engine ## test BGP, BMP and RPKI against bird, FRR, GoBGP, ExaBGP, OpenBGPD, stayrtr, nfacctd and kcat, as root, on loopback
	@for p in bird:bird2 gobgpd:gobgpd exabgp:exabgp /usr/sbin/bgpd:openbgpd stayrtr:stayrtr nfacctd:pmacct kcat:kcat \
		/usr/lib/frr/bgpd:frr; do command -v $${p%:*} >/dev/null \
		|| echo "make test-routing: NOT TESTED: $${p%:*} (Debian: apt-get install $${p#*:})" >&2; done
	ROUTING_TEST=1 $(GO) test -count=1 -v -run '^Test(Speakers|StayRTR)' -timeout 60m ./collector/routing ./collector/rpki ./collector/service

# Clients of other languages for make test-clients: installed here, used by no other target.
CLIENTS           := .clients
CLIENTS_PYTHON    := clickhouse-connect[async]==1.12.0 pandas pyarrow
CLIENTS_NODE      := @clickhouse/client@1.23.1

test-clients: engine $(CLIENTS)/installed ## test the local store with ClickHouse's Python, Node, Java, JDBC and Rust clients
	CLIENTS_TEST=$(CURDIR)/$(CLIENTS) $(GO) test -count=1 -v -run '^Test(Clients|DatabaseSQL|ClickHouseGo)' -timeout 30m ./sink/store

# A language that is not there is left out, and the test says so.
$(CLIENTS)/installed: Makefile sink/store/clienttest/pom.xml $(wildcard sink/store/clienttest/rust/Cargo.* sink/store/clienttest/rust/src/*)
	@rm -rf $(CLIENTS) && mkdir -p $(CLIENTS)
	@if command -v python3 >/dev/null && python3 -m venv $(CLIENTS)/venv; then \
		$(CLIENTS)/venv/bin/pip --quiet --disable-pip-version-check install $(CLIENTS_PYTHON); \
	else echo "make test-clients: NOT TESTED: Python (Debian: apt-get install python3-venv)" >&2; rm -rf $(CLIENTS)/venv; fi
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
		npm install --silent --no-audit --no-fund --prefix $(CLIENTS) $(CLIENTS_NODE); \
	else echo "make test-clients: NOT TESTED: Node (Debian: apt-get install nodejs npm)" >&2; fi
	@if command -v java >/dev/null && command -v mvn >/dev/null; then \
		mvn --quiet --batch-mode --file sink/store/clienttest/pom.xml dependency:copy-dependencies \
			-DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$(CLIENTS)/java >&2; \
	else echo "make test-clients: NOT TESTED: Java (Debian: apt-get install openjdk-17-jdk-headless maven)" >&2; fi
	@if command -v cargo >/dev/null; then \
		cargo build --quiet --release --manifest-path sink/store/clienttest/rust/Cargo.toml --target-dir $(CLIENTS)/rust; \
	else echo "make test-clients: NOT TESTED: Rust (https://rustup.rs)" >&2; fi
	@touch $@

# podman as root, with a storage of its own.
CONTAINERS ?= podman --root $(CURDIR)/.images/root --runroot $(CURDIR)/.images/run --cgroup-manager cgroupfs --runtime runc
TEST_IMAGE := localhost/flow-collector:test

test-image: ## build the image and run it as compose and the Helm chart do (Debian: podman runc mmdebstrap)
	@conf.example/docker/bases.sh $(CONTAINERS) || { [ $$? = 3 ] && exit 0; exit 1; }; set -ex; \
	$(CONTAINERS) build --network host --pull=never --build-arg VERSION=$(VERSION) \
		--file conf.example/docker/Dockerfile --ignorefile conf.example/docker/Dockerfile.dockerignore --tag $(TEST_IMAGE) .; \
	IMAGE=$(TEST_IMAGE) CONTAINERS="$(CONTAINERS)" HELM="$(HELM)" \
		$(GO) test -count=1 -v -run '^TestImage' -timeout 20m ./collector

test-deb: ## install, upgrade and remove the packages (deb and rpm) in containers with systemd (Debian: podman runc mmdebstrap)
	@conf.example/docker/bases.sh $(CONTAINERS) || { [ $$? = 3 ] && exit 0; exit 1; }; set -ex; \
	rm -rf dist/*.deb dist/*.rpm dist/next; $(MAKE) --no-print-directory deb rpm; mkdir -p dist/next; \
	for kind in deb rpm; do DEB_VERSION=$(DEB_VERSION)+next GOFLAGS= GOARCH= $(GO) run $(NFPM) package \
		--packager $$kind --config conf.example/deb/nfpm.yaml --target dist/next/; done; \
	printf 'FROM docker.io/library/debian:bookworm-slim\nRUN apt-get update && apt-get install -y systemd procps rpm\n' \
		| $(CONTAINERS) build --network host --pull=never --tag $(TEST_IMAGE)-systemd --file - conf.example/deb; \
	PACKAGES=$(CURDIR)/dist SYSTEMD_IMAGE=$(TEST_IMAGE)-systemd CONTAINERS="$(CONTAINERS)" \
		$(GO) test -count=1 -v -run '^Test(Debian|RPM)Package' -timeout 20m ./collector

race: engine ## run all tests with the race detector
	$(GO) test -race ./...

test-page: engine browser ## look at the pages in Chromium; pictures go to .page
	CHROMIUM=$$(command -v $(CHROMIUM)) PAGE_TEST=$(CURDIR)/.page $(GO) test -count 1 -v -run 'Test(Page|Explore|Routing)_inABrowser' ./collector/service ./collector/explore/page ./collector/lookingglass

test-hostile-page: engine browser ## have pages of other sites attack a local store, in Chromium
	CHROMIUM=$$(command -v $(CHROMIUM)) PAGE_TEST=$(CURDIR)/.page $(GO) test -count 1 -v -timeout 30m -run TestHostilePage_inABrowser ./sink/store

browser:
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "make test-page: node and npm are missing: apt-get install nodejs npm" >&2; exit 1; }
	@command -v $(CHROMIUM) >/dev/null || { echo "make test-page: $(CHROMIUM) is missing: apt-get install chromium, or set CHROMIUM" >&2; exit 1; }
	@mkdir -p .page
	@[ -d .page/node_modules/playwright-core ] || npm install --silent --no-audit --no-fund --prefix .page playwright-core@$(PLAYWRIGHT)

demo: engine build ## our own captures through the whole pipeline, and three questions; KEEP=1: then a collector with its page
	KEEP=$(KEEP) bench/demo.sh

bench: engine ## run the benchmarks of the hot path
	$(GO) test -run '^$$' -bench . -benchmem ./decoder/... ./enrich/... ./sink/block/... ./sink/message/... ./collector/...

pgo: ## make collector/default.pgo again: what the compiler knows of which code is hot (12 to 25 % of the pipeline's time)
	$(GO) test -run '^$$' -bench 'Scale|Worker' -cpu 1 -benchtime 3s -o /dev/null -cpuprofile collector/default.pgo ./collector/pipeline

# Go before 1.27 sometimes fails a target with "context deadline exceeded" when its time is over (golang/go#75804). No
# input failed then.
# The files that targets write are in memory where there is such a directory: on a disk that waits for its writes spool
# and quarantine get 5 to 20 inputs a second. Programs are still built, and run, where they usually are.
fuzz: ## fuzz every parser for FUZZTIME each
	@set -e; log=$$(mktemp); files=$$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d); \
	trap 'rm -rf "$$log" "$$files"' EXIT; export GOTMPDIR=$${TMPDIR:-/tmp} TMPDIR=$$files; \
	for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "== $$package $$target"; \
			{ $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$package 2>&1 || \
				echo "FAIL $$target"; } | tee "$$log"; \
			if grep -q '^FAIL' "$$log" && { grep -q 'Failing input' "$$log" || \
				! grep -qx ' *context deadline exceeded' "$$log"; }; then exit 1; fi; \
		done; done

lint: ## gofmt, go vet, staticcheck, and lines of at most 120 columns
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	LINT=1 $(GO) test ./collector -run TestNoLineIsTooLong

vulncheck: ## look for known vulnerabilities of what is linked; says so where the database cannot be reached
	@if output=$$(timeout 120 $(GO) run $(GOVULNCHECK) ./collector 2>&1); then echo "$$output"; \
	elif echo "$$output" | grep -qE 'vuln.go.dev|no such host|i/o timeout|connection refused'; then \
		echo "make vulncheck: NOT CHECKED: the vulnerability database (vuln.go.dev) cannot be reached from here"; \
	else echo "$$output"; exit 1; fi

pin-images: ## write the digests of the container images beside their tags (needs docker or skopeo, and the registry)
	sh conf.example/docker/pin.sh

lint-deploy: ## check conf.example: the unit, scripts, Dockerfile, compose file, Helm chart and, where built, packages
	HELM="$(HELM)" GO="$(GO)" conf.example/lint.sh

# What packages and releases are made of, in dist/files: the program for DEB_ARCH without cgo, so that it does not
# depend on the compiler of the host, man pages, and completion for shells. In dist/trees: folders as they are packed,
# with modes that do not depend on the umask of the clone.
files:
	@rm -rf dist/files dist/trees && mkdir -p dist/files/man dist/files/completion dist/trees
	@doc=dist/trees/doc; mkdir -p dist/trees/share $$doc/examples/systemd $$doc/examples/kafka $$doc/examples/prometheus && \
	cp -r conf.example/grafana dist/trees/share/ && cp -r conf.example/helm conf.example/deb/copyright $$doc/ && \
	cp --parents README.md */README.md */*/README.md conf.example/CHANGELOG.md $$doc/ && \
	cp conf.example/*.yml $$doc/examples/ && cp conf.example/systemd/flow-collector.service.d/*.conf $$doc/examples/systemd/ && \
	cp conf.example/kafka/*.sql $$doc/examples/kafka/ && cp conf.example/prometheus/*.yml $$doc/examples/prometheus/ && \
	chmod -R u=rwX,go=rX dist/trees
	CGO_ENABLED=0 GOOS=linux GOARCH=$(DEB_ARCH) $(GO) build -trimpath -buildmode=pie -ldflags "-s -w -X main.version=$(VERSION)" \
		-o dist/files/collector ./collector
	@program=dist/files/collector; if [ $(DEB_ARCH) != $$($(GO) env GOHOSTARCH) ]; then program=dist/files/native; \
		CGO_ENABLED=0 GOARCH= $(GO) build -trimpath -buildmode=pie -ldflags "-s -w -X main.version=$(VERSION)" -o $$program ./collector; fi; \
	$$program manual --dir dist/files/man && gzip -9n dist/files/man/*.1; \
	for shell in bash zsh fish; do $$program completion $$shell > dist/files/completion/$$shell; done; rm -f dist/files/native

deb: files ## make the Debian packages, in dist/ (DEB_ARCH=arm64 for arm64: without the engine)
rpm: files ## make the same packages for RPM
deb rpm:
	GOFLAGS= GOARCH= $(GO) run $(NFPM) package --packager $@ --config conf.example/deb/nfpm.yaml --target dist/
ifeq ($(DEB_ARCH),amd64)
	$(MAKE) engine ENGINE_ARCH=amd64
	GOFLAGS= GOARCH= $(GO) run $(NFPM) package --packager $@ --config conf.example/deb/nfpm-engine.yaml --target dist/
endif

# The same commit and Go version give the same bytes.
TAR := tar --sort=name --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw,a-s --mtime=@$(SOURCE_DATE_EPOCH)

release: ## make binaries and packages for amd64 and arm64, the chart, and SHA256SUMS, in dist/release
	@rm -rf dist && mkdir -p dist/release
	@set -e; for arch in amd64 arm64; do echo "$$(date +%T) packages for $$arch: the collector is compiled, some minutes ..."; \
		$(MAKE) --no-print-directory deb rpm DEB_ARCH=$$arch; \
		echo "$$(date +%T) archive for $$arch ..."; \
		name=flow-collector-$(VERSION)-linux-$$arch; cp -r dist/files dist/$$name; \
		cp LICENSE README.md conf.example/CHANGELOG.md dist/$$name/; cp -r conf.example dist/$$name/; \
		$(TAR) -C dist -cf - $$name | gzip -9n > dist/release/$$name.tar.gz; rm -r dist/$$name; \
	done
	@$(TAR) -C conf.example --transform 's,^helm,flow-collector,' -cf - helm | gzip -9n > dist/release/flow-collector-chart-$(VERSION).tgz
	@mv dist/*.deb dist/*.rpm dist/release/ && cd dist/release && sha256sum * > SHA256SUMS && cat SHA256SUMS

cross: ## build for arm64 (dist/collector-arm64)
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o dist/collector-arm64 ./collector

fmt: ## format the code
	gofmt -w $$(git ls-files '*.go')

engine: $(ENGINE) ## fetch the local store's engine (178 MB, once)

# There is no engine for other architectures than x86-64. npm's chdb names @chdb/lib-linux-arm64-gnu, which is not
# there. PyPI has libraries for aarch64, but not one that can be used: those of chdb-core (26.1 to 26.9) and chdb 4 export
# PyInit__chdb and chdb_adbc_init alone, and that of chdb 3.7.2, the last with the C interface, has neither parameters nor
# streamed inserts.
$(ENGINE):
ifneq ($(ENGINE_ARCH),amd64)
	@echo "make engine: there is no package of the engine for $(ENGINE_ARCH): build without it (make build, make deb, docker build --target collector) and set CLICKHOUSE_HOST to use a ClickHouse server" >&2; exit 1
endif
	@command -v npm >/dev/null || { echo "make engine: npm is missing: install it (Debian: apt-get install npm), or set CLICKHOUSE_HOST to use a ClickHouse server instead" >&2; exit 1; }
	@mkdir -p $(@D)
	@echo "fetching the engine $(ENGINE_PACKAGE)@$(ENGINE_VERSION), 178 MB ..."
	@cd $(@D) && npm pack --silent $(ENGINE_PACKAGE)@$(ENGINE_VERSION) >/dev/null \
		|| { echo "make engine: the package registry cannot be reached: put libchdb.so $(ENGINE_VERSION) at $(ENGINE) yourself, or set CLICKHOUSE_HOST to use a ClickHouse server instead" >&2; exit 1; }
	@cd $(@D) && echo "$(ENGINE_SHA256)  $$(ls chdb-lib-*.tgz)" | sha256sum --check --status \
		|| { echo "make engine: the package has another checksum than the Makefile pins: $$(sha256sum chdb-lib-*.tgz)" >&2; rm -f chdb-lib-*.tgz; exit 1; }
	@echo "unpacking ..."
	@cd $(@D) && tar xzf chdb-lib-*.tgz --no-same-owner --strip-components=1 package/libchdb.so && rm chdb-lib-*.tgz
	@echo "engine ready: $(ENGINE)"

clean: ## remove what was built; the engine and the data stay
	rm -rf bin dist

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
