.PHONY: test check install clean
test: @NAME@.so test.c test.h reft_plugin.h
	$(CC) -std=c11 -Wall -Wextra -O1 -g -o test test.c -ldl -lm
	./test ./@NAME@.so

check: test
	@command -v "$(REFT)" > /dev/null || { echo "error: '$(REFT)' is not a command here;\
	 put reft on the PATH or say where it is: make check REFT=/path/to/reft"; exit 69; }
	"$(REFT)" plugin check "$(CURDIR)/@NAME@.so" $(CHECK_FLAGS)

# What one built oneself, one may trust: it then runs inside reft.
install: @NAME@.so
	"$(REFT)" plugin install "$(CURDIR)/@NAME@.so" --trust

clean:
	rm -f @NAME@.so test
