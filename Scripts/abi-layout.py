#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The layout of the plugin ABI as text, and whether one layout only appends to another.

  abi-layout.py print HEADER            every struct with its size, fields, offsets and types
  abi-layout.py compare OLD NEW         fails unless NEW keeps all of OLD and appends at ends only
  abi-layout.py future HEADER           the header with every growable struct made longer, minor 7
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Embedded by value in other structs, or standing in arrays: frozen for ever.
FROZEN = {"reft_str_t", "reft_mat_t", "reft_option_t"}
STRUCT = re.compile(r"typedef struct (\w+) \{(.*?)\n\} (\w+);", re.S)


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def fields(body):
    """(name, declaration) of each member, in order."""
    for declaration in without_comments(body).split(";"):
        declaration = " ".join(declaration.replace("REFT_NOEXCEPT", "").split())
        if not declaration:
            continue
        function = re.match(r".*?\(\*(\w+)\)", declaration)
        name = function or re.search(r"(\w+)(\[\d+\])?$", declaration)
        yield name.group(1), declaration


def structs(header):
    """[(type, [(field, declaration)])] in the order of the header."""
    text = Path(header).read_text()
    # The head of a struct may carry a comment on its own line.
    return [(alias, list(fields("\n" + body))) for _, body, alias in STRUCT.findall(text)]


def macros(header):
    """Names and values of the plain numeric macros."""
    text = without_comments(Path(header).read_text())
    pattern = re.compile(r"^#define (REFT_\w+)[ \t]+([^\n\\]*\d[^\n\\]*)$", re.M)
    return [(name, value.strip()) for name, value in pattern.findall(text)]


def print_layout(header):
    lines = ['#include "reft_plugin.h"', "#include <stdio.h>", "int main(void) {"]
    for alias, members in structs(header):
        lines.append(f'  printf("{alias} %zu\\n", sizeof({alias}));')
        for name, declaration in members:
            lines.append(
                f'  printf("  %3zu %3zu  {declaration}\\n", offsetof({alias}, {name}), '
                f"sizeof((({alias} *)0)->{name}));"
            )
    lines += ["  return 0;", "}"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "layout.c"
        program = Path(folder) / "layout"
        source.write_text("\n".join(lines) + "\n")
        include = str(Path(header).resolve().parent)
        subprocess.run(["cc", "-std=c11", "-I", include, str(source), "-o", str(program)], check=True)
        sys.stdout.write(subprocess.run([program], check=True, capture_output=True, text=True).stdout)
    for name, value in macros(header):
        if name not in ("REFT_ABI_MINOR",):
            print(f"{name} {value}")


def parse(path):
    types, values, current = {}, {}, None
    for line in Path(path).read_text().splitlines():
        if line.startswith("  "):
            types[current][1].append(line)
        elif line.startswith("REFT_"):
            name, value = line.split(" ", 1)
            values[name] = value
        elif line:
            current, size = line.split()
            types[current] = (int(size), [])
    return types, values


def compare(old_path, new_path):
    old, old_values = parse(old_path)
    new, new_values = parse(new_path)
    faults = []
    for name, (size, members) in old.items():
        if name not in new:
            faults.append(f"{name} is gone")
            continue
        new_size, new_members = new[name]
        for index, member in enumerate(members):
            found = new_members[index] if index < len(new_members) else "nothing"
            if found != member:
                faults.append(f"{name}: '{member.strip()}' became '{found.strip()}'")
                break
        grown = len(new_members) > len(members)
        if name in FROZEN and (grown or new_size != size):
            faults.append(f"{name} is frozen and grew from {size} to {new_size} bytes")
        if new_size < size or (new_size > size and not grown) or (grown and new_size == size):
            faults.append(f"{name}: {size} bytes became {new_size} with {len(new_members)} fields")
    for name, value in old_values.items():
        if new_values.get(name) != value:
            faults.append(f"{name} was {value} and is {new_values.get(name, 'gone')}")
    for fault in faults:
        print(f"error: {fault}; the ABI only appends", file=sys.stderr)
    return 1 if faults else 0


def future(header):
    text = Path(header).read_text()
    text = re.sub(r"#define REFT_ABI_MINOR 0u", "#define REFT_ABI_MINOR 7u", text)
    text = re.sub(r"^REFT_STATIC_ASSERT\(.*\n", "", text, flags=re.M)

    def longer(match):
        _, body, alias = match.groups()
        if alias in FROZEN:
            return match.group(0)
        tail = "\n  uint64_t future_number;\n  void *future_pointer;"
        return match.group(0).replace(f"\n}} {alias};", f"{tail}\n}} {alias};")

    sys.stdout.write(STRUCT.sub(longer, text))


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "print":
        return print_layout(arguments[1])
    if len(arguments) == 3 and arguments[0] == "compare":
        return compare(arguments[1], arguments[2])
    if len(arguments) == 2 and arguments[0] == "future":
        return future(arguments[1])
    print(__doc__, file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
