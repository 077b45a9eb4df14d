#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles each C header alone, as C11, C17 and C++17, with clang and gcc and all warnings: an author
# can include it first, in any project. Arguments: headers. Exit 1 when one does not stand alone.
set -euo pipefail

failed=0
for header in "$@"; do
  for standard in c11 c17 c++17; do
    language=c
    if [ "$standard" = c++17 ]; then language=c++; fi
    for compiler in clang gcc; do
      if ! "$compiler" -x "$language" "-std=$standard" -Wall -Wextra -pedantic -Werror \
        -fsyntax-only -include "$header" -I "$(dirname "$header")" \
        -I Sources/CReFTPlugin/include /dev/null; then
        echo "$header: does not stand alone with $compiler -std=$standard" >&2
        failed=1
      fi
    done
  done
done
exit "$failed"
