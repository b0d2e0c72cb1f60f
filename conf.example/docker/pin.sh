#!/bin/sh
# Writes the present digest of every image beside its tag in the Dockerfile and the compose files here, so that builds
# take the same bytes until this is run again: make pin-images. It needs docker or skopeo, and the registry.
# sh pin.sh [DIRECTORY]: another directory with such files.
set -eu
cd "${1:-$(dirname "$0")}"

digest() {
	if command -v skopeo >/dev/null; then
		skopeo inspect --format '{{.Digest}}' "docker://docker.io/$(echo "$1" | sed 's|^[^/]*$|library/&|')"
	else
		docker buildx imagetools inspect "$1" --format '{{.Manifest.Digest}}'
	fi
}

files=$(ls Dockerfile ./*.yml)
# shellcheck disable=SC2086 # names of our own, without spaces
images=$(sed -n 's/^FROM \([^ @]*:[^ @]*\).*/\1/p; s/^ *image: \([^ @]*:[^ @]*\).*/\1/p' $files | sort -u)
for image in $images; do
	found=$(digest "$image")
	case $found in
	sha256:????????????????????????????????????????????????????????????????) ;;
	*) echo "make pin-images: the registry gave no digest of $image: \"$found\"" >&2; exit 1 ;;
	esac
	# shellcheck disable=SC2086
	sed -i "s#\(FROM \|image: \)$image\(@sha256:[0-9a-f]*\)\?\( \|\$\)#\1$image@$found\3#" $files
	echo "$image@$found"
done
