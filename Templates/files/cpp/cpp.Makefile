# make: builds @NAME@.so.  make check: tests it here, then lets `reft plugin check` judge it.
CXX ?= c++
CXXFLAGS ?= -O2 -g
CC ?= cc
REFT ?= reft

@NAME@.so: @NAME@.cpp reft_plugin.h
	$(CXX) -std=c++17 -Wall -Wextra $(CXXFLAGS) -fPIC -shared -fvisibility=hidden -o $@ $<

@CHECK@
