"""Records attention, einsum and recurrent layers."""

import torch
import torch.nn.functional as F

from recording import Recorder

CLOSE = "abs 1e-5 rel 1e-5"
INF = float("inf")


def randn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape) * 7 + len(shape)))


def attention(rec):
    rec.op("scaled_dot_product_attention")

    def case(name, q, k, v, mask=None, tol=CLOSE, **kw):
        rec.case(name, lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, **kw), [q, k, v, mask], kw, tol=tol)

    q, k, v = randn(2, 3, 5, 4), randn(2, 3, 6, 4) * 2, randn(2, 3, 6, 7)
    case("plain", q, k, v)
    case("scale", q, k, v, scale=0.25)
    case("causal", q, k, v, is_causal=True)
    keep = torch.rand(5, 6, generator=torch.Generator().manual_seed(1)) > 0.4
    keep[2] = False
    case("bool_mask", q, k, v, keep)
    added = torch.zeros(2, 1, 5, 6)
    added[0, 0, 1] = -INF
    added[1, 0, :, 3] = -2.5
    case("added_mask", q, k, v, added)
    case("shared_heads", randn(1, 4, 5, 4), randn(1, 2, 6, 4), randn(1, 2, 6, 3), enable_gqa=True)
    case("matrices", randn(5, 4), randn(6, 4), randn(6, 2))
    case("f64", q.double(), k.double(), v.double(), tol="abs 1e-12 rel 1e-12")
    case("bf16", q.bfloat16(), k.bfloat16(), v.bfloat16(), tol="abs 2e-2 rel 2e-2")
    rec.error("features", [q, randn(2, 3, 6, 5), v, None], {}, "c2")
    rec.error("heads", [randn(1, 3, 5, 4), randn(1, 2, 6, 4), randn(1, 2, 6, 3), None], {"enable_gqa": True}, "c3")
    rec.error("mask", [q, k, v, torch.ones(4, 6, dtype=torch.bool)], {}, "c4")


def einsum(rec):
    rec.op("einsum")

    def case(equation, *operands, tol=CLOSE):
        name = equation.replace("->", "_to_").replace(",", "_").replace("...", "E").replace(" ", "")
        rec.case(name, lambda *o: torch.einsum(equation, *o), list(operands), {"equation": equation}, tol=tol)

    case("ij,jk->ik", randn(3, 4), randn(4, 5))
    case("bij,bjk->bik", randn(2, 3, 4), randn(2, 4, 5))
    case("bhqd,bhkd->bhqk", randn(2, 2, 3, 4), randn(2, 2, 5, 4))
    case("ij,kj", randn(3, 4), randn(5, 4))
    case("ii->i", randn(4, 4))
    case("ii", randn(4, 4))
    case("ij->ji", randn(3, 4))
    case("i,j->ij", randn(3), randn(4))
    case("ij->", randn(3, 40))
    case("...ij,...jk->...ik", randn(2, 1, 3, 4), randn(5, 4, 2))
    case("b...c->...b", randn(2, 3, 4, 5))
    case("ij,jk,kl->il", randn(2, 3), randn(3, 4), randn(4, 2))
    case("ab,ac,ad->bd", randn(5, 2), randn(5, 3), randn(5, 4))
    case("i,j,k->", randn(3), randn(4), randn(5))
    case("ij,jk,ki->", randn(3, 4), randn(4, 5), randn(5, 3))
    case("bij,bjk,b->ik", randn(2, 3, 4), randn(2, 4, 5), randn(2))
    case("iij,jk->k", randn(3, 3, 4), randn(4, 2))
    case("ij,j->i", randn(3, 1), randn(4))
    case("aB,Bc", randn(2, 3), randn(3, 4))
    case("ki,i->k", randn(3, 4).double(), randn(4).double(), tol="abs 1e-12 rel 1e-12")
    case("ij,jk->ki", torch.arange(6).view(2, 3), torch.arange(12).view(3, 4))
    rec.error("terms", [randn(2, 3)], {"equation": "ij,jk->ik"}, "c1")
    rec.error("rank", [randn(2, 3)], {"equation": "ijk->i"}, "c1")
    rec.error("extents", [randn(2, 3), randn(4, 5)], {"equation": "ij,jk->ik"}, "c3")


def recurrent(rec):
    for kind, gates in (("lstm", 4), ("gru", 3), ("rnn_tanh", 1), ("rnn_relu", 1)):
        rec.op(kind)

        def case(name, layers=1, biases=True, both=False, batch_first=False, time=4, batch=2, features=3, hidden=5, dtype=torch.float32,
                 tol=CLOSE):
            directions = 2 if both else 1
            g = torch.Generator().manual_seed(len(name) * 31 + gates)
            make = lambda *s: (torch.randn(*s, generator=g) * 0.5).to(dtype)
            x = make(batch, time, features) if batch_first else make(time, batch, features)
            states = [make(layers * directions, batch, hidden) for _ in range(2 if kind == "lstm" else 1)]
            params = []
            for layer in range(layers):
                for _ in range(directions):
                    params += [make(gates * hidden, features if layer == 0 else hidden * directions), make(gates * hidden, hidden)]
                    if biases:
                        params += [make(gates * hidden), make(gates * hidden)]
            op = getattr(torch, kind)
            attrs = {"has_biases": biases, "num_layers": layers, "bidirectional": both, "batch_first": batch_first}
            n = len(states)
            rec.case(name, lambda x, *o: op(x, o[:n] if kind == "lstm" else o[0], o[n:], biases, layers, 0.0, False, both, batch_first),
                     [x, *states, *params], attrs, tol=tol)

        case("plain")
        case("no_biases", biases=False)
        case("two_layers", layers=2)
        case("both_directions", both=True)
        case("layers_and_directions", layers=2, both=True, batch_first=True)
        case("batch_first", batch_first=True)
        case("one_step", time=1, batch=1)
        case("f64", dtype=torch.float64, tol="abs 1e-12 rel 1e-12")
        n = 2 if kind == "lstm" else 1
        if kind == "lstm":
            make = lambda *s: randn(*s) * 0.4
            projected = [make(20, 3), make(20, 2), make(20), make(20), make(2, 5)]
            rec.case("projected", lambda x, h, c, *p: torch.lstm(x, (h, c), p, True, 1, 0.0, False, False, False),
                     [make(4, 2, 3), make(1, 2, 2), make(1, 2, 5), *projected], {}, tol=CLOSE)
        rec.error("parameters", [randn(4, 2, 3)] + [randn(1, 2, 5)] * n + [randn(gates * 5, 3)], {}, "c2")
        rec.error("shape", [randn(4, 2, 3)] + [randn(1, 2, 5)] * n + [randn(gates * 5, 4), randn(gates * 5, 5), randn(gates * 5),
                                                                  randn(gates * 5)], {}, "c3")
        rec.error("state", [randn(4, 2, 3)] + [randn(1, 3, 5)] * n + [randn(gates * 5, 3), randn(gates * 5, 5), randn(gates * 5),
                                                                  randn(gates * 5)], {}, "c4")


rec = Recorder("attention")
attention(rec)
einsum(rec)
recurrent(rec)
rec.write()
