# make: builds @NAME@.so.  make check: tests it here, then lets `reft plugin check` judge it.
CC ?= cc
CFLAGS ?= -O2 -g
REFT ?= reft

@NAME@.so: @NAME@.c reft_plugin.h
	$(CC) -std=c11 -Wall -Wextra -Wno-unused-parameter $(CFLAGS) -fPIC -shared -fvisibility=hidden \
	  -o $@ $< -lm

@CHECK@
