# make: builds @NAME@.so.  make check: tests it here, then lets `reft plugin check` judge it.
RUSTC ?= rustc
RUSTFLAGS ?= -C opt-level=3
CC ?= cc
REFT ?= reft

@NAME@.so: @NAME@.rs reft_plugin.rs
	$(RUSTC) --edition 2021 --crate-type cdylib --crate-name $(subst -,_,@NAME@) -C panic=abort \
	  $(RUSTFLAGS) -o $@ $<

@CHECK@
