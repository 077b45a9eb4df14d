// SPDX-License-Identifier: Apache-2.0
// Bare functions without our header, y = x (1 + strength s) + b, described by bare.reft.json. With
// -DFAULT_BARE_GRADIENT=1 the gradient of s is wrong.
#include <stdint.h>

#include "fault.h"

void channel_rows(int32_t dim, const float* scale, const float* shift, const float* x, int64_t xs,
                  float* y, int64_t ys, uint32_t rows, double strength) {
  for (uint32_t i = 0; i < rows; i++)
    for (int32_t j = 0; j < dim; j++)
      y[i * ys + j] = x[i * xs + j] * (1 + (float)strength * scale[j]) + shift[j];
}

int32_t channel_grad(int32_t dim, const float* scale, const float* x, int64_t xs, const float* dy,
                     int64_t dys, float* dx, int64_t dxs, uint32_t rows, double strength,
                     float* dscale, float* dshift) {
  for (uint32_t i = 0; i < rows; i++)
    for (int32_t j = 0; j < dim; j++) {
      float slope = dy[i * dys + j];
      dscale[j] += (FAULTY(BARE_GRADIENT) ? -1 : 1) * (float)strength * slope * x[i * xs + j];
      dshift[j] += slope;
      dx[i * dxs + j] = slope * (1 + (float)strength * scale[j]);
    }
  return 0;
}
