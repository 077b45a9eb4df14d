// The formula of @NAME@ on two rows of three numbers, computed a second time here. Change it with
// the formula; test.h loads the plugin and compares. The derivative is judged by `make check`.
#include "test.h"

enum { rows = 2, dim = 3 };
static const float x[rows * dim] = {1, -2, 3, 0.5f, 0, -1};
static const float scale[dim] = {0, 0.5f, -1}, shift[dim] = {0, 1, 2};
static const void* const parameters[] = {scale, shift};

static float expected(int i, int j) {
  return x[i * dim + j] * (1 + scale[j]) + shift[j];
}

int main(int count, char** arguments) {
  return run(count, arguments, rows, dim, x, parameters, 2, expected);
}
