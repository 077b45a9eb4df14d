# SPDX-License-Identifier: Apache-2.0
# Golden numbers of plugin 'sae', by PyTorch: a small autoencoder, rows, and what clamping or adding a
# feature makes of them, with gradients by autograd. Writes sae.safetensors beside this file.
import pathlib

import torch
from safetensors.torch import save_file

torch.manual_seed(5)
features, width, rows, feature, value = 6, 16, 7, 2, 1.5
encoder, decoder = torch.randn(features, width), torch.randn(features, width) / 4
encoder_bias, decoder_bias = torch.randn(features), torch.randn(width)
threshold = torch.rand(features) + 0.5
tensors = {
    "encoder": encoder,
    "encoder.transposed": encoder.T.contiguous(),
    "decoder": decoder,
    "decoder.half": decoder.half(),
    "encoder_bias": encoder_bias,
    "decoder_bias": decoder_bias,
    "threshold": threshold,
}
x, dy = torch.randn(rows, width), torch.randn(rows, width)
tensors |= {"x": x, "dy": dy}
for name, levels in [("relu", torch.zeros(features)), ("jumprelu", threshold)]:
    for mode in ["clamp", "add"]:
        h, v = x.clone().requires_grad_(), torch.tensor(value, requires_grad=True)
        z = (h - decoder_bias) @ encoder.T + encoder_bias
        a = torch.where(z > levels, z, torch.zeros_like(z))[:, feature : feature + 1]
        push = v - a if mode == "clamp" else v.expand(rows, 1)
        y = h + push * decoder[feature]
        (y * dy).sum().backward()
        tensors |= {
            f"{name}.{mode}.y": y.detach(),
            f"{name}.{mode}.dx": h.grad,
            f"{name}.{mode}.dvalue": v.grad.reshape(1),
        }
save_file(
    {key: tensor.contiguous() for key, tensor in tensors.items()},
    pathlib.Path(__file__).parent / "sae.safetensors",
)
