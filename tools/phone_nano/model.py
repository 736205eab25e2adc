"""phone-nano in PyTorch: the graph that libllama builds for the architecture "glm4", its output tied to its embedding."""

import math
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Sizes:
    """The names are those of inferq-make-gguf."""
    layers: int = 4
    embd: int = 128
    heads: int = 4
    kv_heads: int = 2
    ff: int = 256
    context: int = 512

    as_dict = asdict


def norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weight


def rotation(length, rotated):
    """Cosines and sines [length, rotated / 2] of the first `rotated` dimensions of a head, in pairs of neighbours."""
    steps = 10000.0 ** (-torch.arange(0, rotated, 2, dtype=torch.float64) / rotated)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * steps
    return angles.cos().float(), angles.sin().float()


def rotate(x, cos, sin):
    """@param x  [batch, heads, length, head]"""
    turned, rest = x[..., :2 * cos.shape[-1]], x[..., 2 * cos.shape[-1]:]
    even, odd = turned[..., 0::2], turned[..., 1::2]
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)
    return torch.cat((turned, rest), -1)


class Layer(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes
        head = sizes.embd // sizes.heads
        self.widths = (sizes.embd, head * sizes.kv_heads, head * sizes.kv_heads)
        self.qkv = nn.Linear(sizes.embd, sum(self.widths), bias=False)
        self.attn_output = nn.Linear(sizes.embd, sizes.embd, bias=False)
        self.ffn_up = nn.Linear(sizes.embd, 2 * sizes.ff, bias=False)   # the gate in front of it
        self.ffn_down = nn.Linear(sizes.ff, sizes.embd, bias=False)
        self.attn_norm = nn.Parameter(torch.ones(sizes.embd))
        self.ffn_norm = nn.Parameter(torch.ones(sizes.embd))
        # Small beside the embedding at first, so that a token is still seen through all layers.
        self.post_attention_norm = nn.Parameter(torch.full((sizes.embd,), 0.1))
        self.post_ffw_norm = nn.Parameter(torch.full((sizes.embd,), 0.1))

    def attention(self, x, cos, sin, mask):
        batch, length, _ = x.shape
        q, k, v = (part.view(batch, length, -1, self.sizes.embd // self.sizes.heads).transpose(1, 2)
                   for part in self.qkv(x).split(self.widths, -1))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        group = self.sizes.heads // self.sizes.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + mask
        return self.attn_output((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, -1))

    def forward(self, x, cos, sin, mask):
        x = x + norm(self.attention(norm(x, self.attn_norm), cos, sin, mask), self.post_attention_norm)
        gate, up = self.ffn_up(norm(x, self.ffn_norm)).chunk(2, -1)
        return x + norm(self.ffn_down(functional.silu(gate) * up), self.post_ffw_norm)


class Model(nn.Module):
    def __init__(self, sizes, vocab):
        super().__init__()
        self.sizes = sizes
        self.token_embd = nn.Embedding(vocab, sizes.embd)
        self.blk = nn.ModuleList(Layer(sizes) for _ in range(sizes.layers))
        self.output_norm = nn.Parameter(torch.ones(sizes.embd))
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.1 if name == "token_embd.weight" else sizes.embd ** -0.5)
        cos, sin = rotation(sizes.context, sizes.embd // sizes.heads // 2)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def hidden(self, ids):
        """@param ids  [batch, length]; @return [batch, length, embd]"""
        length = ids.shape[1]
        mask = torch.full((length, length), -math.inf).triu(1)
        x = self.token_embd(ids)
        for layer in self.blk:
            x = layer(x, self.cos[:length], self.sin[:length], mask)
        return norm(x, self.output_norm)

    def logits(self, hidden):
        return hidden @ self.token_embd.weight.t()

    def gguf_tensors(self):
        """What inferq-make-gguf reads, by GGUF name: matrices [rows, columns] and vectors, f32. They are
        views of the parameters."""
        tensors = {"token_embd.weight": self.token_embd.weight, "output_norm.weight": self.output_norm}
        for number, layer in enumerate(self.blk):
            parts = dict(zip(("attn_q", "attn_k", "attn_v"), layer.qkv.weight.split(layer.widths)))
            parts.update({name: getattr(layer, name).weight for name in ("attn_output", "ffn_up", "ffn_down")})
            parts.update({name: getattr(layer, name) for name in
                          ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")})
            tensors.update({f"blk.{number}.{name}.weight": tensor for name, tensor in parts.items()})
        return {name: tensor.detach() for name, tensor in tensors.items()}

    def load_gguf_tensors(self, tensors):
        """Takes what gguf_tensors() gave."""
        with torch.no_grad():
            for name, parameter in self.gguf_tensors().items():
                parameter.copy_(tensors[name])
