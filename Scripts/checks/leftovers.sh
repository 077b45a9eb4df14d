#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What must not stay in a source file: no licence line, a note to self, a tab, a trailing blank, a
# print in a library, an exit from one. Arguments: files. Exit 1 when there is a finding.
set -euo pipefail

findings=0
report() { # report FILE SENTENCE [LINES]
  echo "$1: $2" >&2
  if [ -n "${3:-}" ]; then printf '%s\n' "$3" | sed 's/^/    line /' >&2; fi
  findings=1
}
forbid() { # forbid FILE PATTERN SENTENCE
  local lines
  if lines=$(grep -nE "$2" "$1"); then report "$1" "$3" "$lines"; fi
}

for file in "$@"; do
  case "$file" in
    Templates/files/*) ;; # they become the author's files, under the author's licence
    *.swift | *.c | *.h | *.cu | *.cuh | *.sh | *.py | Makefile | */Makefile | *.modulemap | .ci/run)
      head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
        report "$file" "has no SPDX line among its first three"
      ;;
  esac
  # These two name the words that are forbidden.
  case "$file" in Scripts/checks/leftovers.sh | Scripts/checks/self-test.sh) continue ;; esac
  forbid "$file" '\b(TODO|FIXME|XXX|HACK)\b' "has a note to self; do it, or file an issue"
  forbid "$file" '[[:blank:]]+$' "has blanks at line ends"
  case "$file" in
    *Makefile* | Templates/files/* | Tests/Fixtures/*) ;;
    *) forbid "$file" $'\t' "has a tab; indent with two spaces" ;;
  esac
  case "$file" in
    *.swift)
      forbid "$file" '@testable' "uses @testable, which a release build lacks; use package access"
      forbid "$file" '^import XCTest' "uses XCTest; tests here use Swift Testing"
      ;;
  esac
  case "$file" in
    Sources/ReFT*/*.swift)
      forbid "$file" '(^|[^.[:alnum:]_])print\(' "prints; a library reports through errors and logs"
      forbid "$file" '(^|[^.[:alnum:]_])(fatalError|abort|exit)\(' "ends the process; throw ReFTError"
      ;;
  esac
done
exit "$findings"
