#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every relative link of a Markdown file leads to a file that is there. Arguments: files.
set -euo pipefail

failed=0
fence='^```'
for file in "$@"; do
  while IFS= read -r target; do
    case "$target" in
      http://* | https://* | mailto:* | '#'*) continue ;;
    esac
    path=$(dirname "$file")/${target%%#*}
    if [ ! -e "$path" ]; then
      echo "$file: link to '$target', which does not exist" >&2
      failed=1
    fi
  done < <(sed "/$fence/,/$fence/d" "$file" | grep -oE '\]\([^) ]+\)' | sed -E 's/^\]\((.*)\)$/\1/')
done
exit "$failed"
