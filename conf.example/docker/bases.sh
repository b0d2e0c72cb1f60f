#!/bin/bash
# Gets the images that the Dockerfile begins with, for make test-image. Where no registry of images can be reached, it
# makes stand-ins: Debian from its package mirror, Debian with this host's Go, and Debian with its npm. They trust the
# authorities that this host trusts. Making them needs root and mmdebstrap.
#
#   bases.sh podman ARGUMENT...
#
# It ends with 3, and one line, where it can do neither.
set -euo pipefail
containers=("$@")
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

debian=debian:bookworm-slim
golang=$(sed -n 's/^FROM \(golang:[^ ]*\) .*/\1/p' "$here/Dockerfile")
node=$(sed -n 's/^FROM \(node:[^ ]*\) .*/\1/p' "$here/Dockerfile")
authorities=/etc/ssl/certs/ca-certificates.crt

cannot() { echo "make test-image: NOT TESTED: $*" >&2; exit 3; }

# get IMAGE: true where it is here already, or can be pulled.
get() {
	"${containers[@]}" image inspect "docker.io/library/$1" >/dev/null 2>&1 ||
		timeout 120 "${containers[@]}" pull --quiet "docker.io/library/$1" >/dev/null 2>&1
}

# make IMAGE DIRECTORY: from a Dockerfile on standard input.
make() {
	echo "no registry has $1: making a stand-in ..."
	cp "$authorities" "$2/authorities.crt"
	"${containers[@]}" build --quiet --network host --tag "docker.io/library/$1" --file - "$2" >/dev/null
}

command -v "${containers[0]}" >/dev/null || cannot "${containers[0]} is missing (Debian: apt-get install podman runc)"

if ! get "$debian"; then
	[ "$(id -u)" = 0 ] || cannot "no registry of images can be reached, and stand-ins need root"
	command -v mmdebstrap >/dev/null ||
		cannot "no registry of images can be reached, and stand-ins need mmdebstrap (Debian: apt-get install mmdebstrap)"
	echo "no registry has $debian: making a stand-in ..."
	mmdebstrap --quiet --variant=minbase bookworm "$work/debian.tar" ||
		cannot "no registry of images can be reached, and Debian's package mirror neither"
	"${containers[@]}" import --quiet "$work/debian.tar" "docker.io/library/$debian" >/dev/null
	rm "$work/debian.tar"
fi
if ! get "$golang"; then
	mkdir "$work/golang" && cp -r "$(go env GOROOT)" "$work/golang/go"
	make "$golang" "$work/golang" <<END
FROM docker.io/library/$debian
RUN apt-get update && apt-get install -y --no-install-recommends git make ca-certificates && rm -rf /var/lib/apt/lists/*
COPY authorities.crt $authorities
COPY go /usr/local/go
ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin GOPATH=/go GOTOOLCHAIN=local
END
	rm -r "$work/golang"
fi
if ! get "$node"; then
	mkdir "$work/node"
	make "$node" "$work/node" <<END
FROM docker.io/library/$debian
RUN apt-get update && apt-get install -y --no-install-recommends npm ca-certificates && rm -rf /var/lib/apt/lists/*
COPY authorities.crt $authorities
ENV NODE_EXTRA_CA_CERTS=$authorities
END
fi
