// SPDX-License-Identifier: Apache-2.0
// Bare functions that ask where their rows come from, y = x (1 + position / 8) + s (decoded -
// location), described by placed.reft.json. They trust that the lists are there, as they are in
// every run.
#include <stdint.h>

void placed_rows(int64_t rows, int64_t dim, const float* x, float* y, const float* shift,
                 const int32_t* position, const int32_t* decoded, const int32_t* location) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < dim; j++)
      y[i * dim + j] = x[i * dim + j] * (1 + (float)position[i] / 8) +
                       shift[j] * (float)(decoded[i] - location[i]);
}

void placed_grad(int64_t rows, int64_t dim, const float* dy, float* dx, float* dshift,
                 const int32_t* position, const int32_t* decoded, const int32_t* location) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < dim; j++) {
      dx[i * dim + j] = dy[i * dim + j] * (1 + (float)position[i] / 8);
      dshift[j] += dy[i * dim + j] * (float)(decoded[i] - location[i]);
    }
}
