# make: builds @NAME@.so.  make check: tests it here, then lets `reft plugin check` judge it.
SWIFTC ?= swiftc
SWIFTFLAGS ?= -O
CC ?= cc
REFT ?= reft

@NAME@.so: Plugin.swift $(wildcard kit/*.swift) reft_plugin.h reft_cuda.h module.modulemap exports.map
	$(SWIFTC) -swift-version 6 -wmo $(SWIFTFLAGS) -parse-as-library -module-name @MODULE@ -I . \
	  -emit-library -o $@ Plugin.swift $(wildcard kit/*.swift) -Xlinker --version-script=exports.map

@CHECK@
