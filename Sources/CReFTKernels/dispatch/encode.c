// SPDX-License-Identifier: Apache-2.0
// The encoder of a format. Models are encoded once, so there are plain loops alone.
#include "../ref/encode.h"

#include "reft_encode.h"

reft_encode_fn reft_encode_kernel(uint32_t type) {
  switch (type) {
    case 0:
      return reft_encode_f32;
    case 1:
      return reft_encode_f16;
    case 2:
      return reft_encode_q4_0;
    case 3:
      return reft_encode_q4_1;
    case 6:
      return reft_encode_q5_0;
    case 7:
      return reft_encode_q5_1;
    case 8:
      return reft_encode_q8_0;
    case 12:
      return reft_encode_q4_k;
    case 13:
      return reft_encode_q5_k;
    case 14:
      return reft_encode_q6_k;
    case 30:
      return reft_encode_bf16;
    default:
      return NULL;
  }
}
