"""Writes layers.json, losses.json, init.json, gold_mlp.json and mlp.safetensors from PyTorch.

    python3 generate.py

Made with PyTorch 2.13.0 (CPU), safetensors 0.8.0. Float64 throughout but for mlp.safetensors, which is
float32. The tests compare to 1e-12 relative to each array's largest entry (gold run: 1e-11; float32: 1e-6).
"""

import json
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
torch.manual_seed(20240611)
torch.set_default_dtype(torch.float64)


def array(t):
    dtype = {torch.float64: "float64", torch.int64: "int64", torch.float32: "float64"}[t.dtype]
    return {"dtype": dtype, "shape": list(t.shape), "values": [float(f"{v:.17g}") for v in t.flatten().tolist()]}


def write(name, content):
    (HERE / name).write_text(json.dumps({"torch": torch.__version__, **content}, separators=(",", ":")) + "\n")


def layer_case(layer, x, integer=False):
    """Output and gradients of sum(y * cos(0, 1, 2, ..)), a loss that tells all elements apart."""
    x = x.clone() if integer else x.clone().requires_grad_(True)
    y = layer(x)
    coefficients = torch.cos(torch.arange(y.numel())).reshape(y.shape)
    (y * coefficients).sum().backward()
    case = {"x": array(x.detach()), "y": array(y.detach()),
            "parameters": {n: array(p.detach()) for n, p in layer.named_parameters()},
            "gradients": {n: array(p.grad) for n, p in layer.named_parameters()}}
    if not integer:
        case["x_gradient"] = array(x.grad)
    return case


def randomize(layer):
    for p in layer.parameters():
        torch.nn.init.normal_(p)
    return layer


def layers():
    nn = torch.nn
    x = torch.randn(5, 4)
    sequence = torch.randn(2, 3, 4)
    cases = {
        "linear": layer_case(randomize(nn.Linear(4, 3)), x),
        "linear_3d": layer_case(randomize(nn.Linear(4, 3)), sequence),
        "linear_no_bias": layer_case(randomize(nn.Linear(4, 3, bias=False)), x),
        "layer_norm": layer_case(randomize(nn.LayerNorm(4)), sequence),
        "layer_norm_2d": layer_case(randomize(nn.LayerNorm((3, 4), eps=1e-3)), sequence),
        "layer_norm_plain": layer_case(nn.LayerNorm(4, elementwise_affine=False), x),
        "rms_norm": layer_case(randomize(nn.RMSNorm(4)), sequence),
        "rms_norm_eps": layer_case(randomize(nn.RMSNorm((3, 4), eps=1e-2)), sequence),
        "batch_norm": layer_case(randomize(nn.BatchNorm1d(4)), x),
        "batch_norm_3d": layer_case(randomize(nn.BatchNorm1d(3)), sequence),
        "embedding": layer_case(randomize(nn.Embedding(6, 3)), torch.tensor([[0, 5, 2], [2, 2, 1]]), integer=True),
    }
    norm = nn.BatchNorm1d(4, momentum=0.3)
    batches = [torch.randn(5, 4) * (i + 1) + i for i in range(3)]
    for batch in batches:
        norm(batch)
    norm.eval()
    running = {"batches": [array(b) for b in batches], "running_mean": array(norm.running_mean),
               "running_var": array(norm.running_var), "y": array(norm(batches[0]).detach())}
    write("layers.json", {"layers": cases, "running": running})


def activations():
    x = torch.linspace(-4, 4, 33)
    nn = torch.nn
    modules = {
        "ReLU": nn.ReLU(), "Sigmoid": nn.Sigmoid(), "Tanh": nn.Tanh(), "Identity": nn.Identity(),
        "LeakyReLU": nn.LeakyReLU(0.1), "ELU": nn.ELU(1.5), "SELU": nn.SELU(), "GELU": nn.GELU(),
        "GELU_tanh": nn.GELU(approximate="tanh"), "SiLU": nn.SiLU(), "Mish": nn.Mish(), "Softplus": nn.Softplus(),
        "LogSigmoid": nn.LogSigmoid(), "Softmax": nn.Softmax(dim=-1), "LogSoftmax": nn.LogSoftmax(dim=-1),
        "Hardtanh": nn.Hardtanh(), "ReLU6": nn.ReLU6(), "Hardswish": nn.Hardswish(), "Hardsigmoid": nn.Hardsigmoid(),
        "Softsign": nn.Softsign(), "PReLU": nn.PReLU(init=0.25),
    }
    write("activations.json", {"x": array(x), "y": {n: array(m(x).detach()) for n, m in modules.items()}})


def loss_case(f, prediction, target):
    p = prediction.clone().requires_grad_(True)
    loss = f(p, target)
    loss.sum().backward()
    return {"prediction": array(prediction), "target": array(target), "loss": array(loss.detach()), "gradient": array(p.grad)}


def losses():
    z = torch.randn(6, 5) * 2
    t = torch.tensor([0, 4, 2, 2, 1, 3])
    ignored = torch.tensor([0, -100, 2, -100, 1, 3])
    probabilities = torch.softmax(torch.randn(6, 5), 1)
    w = torch.tensor([0.5, 2.0, 1.0, 0.25, 3.0])
    images, labels = torch.randn(2, 4, 3), torch.tensor([[0, 3, 1], [2, 2, 0]])
    a, b = torch.randn(4, 3) * 2, torch.randn(4, 3)
    bits = torch.rand(4, 3)
    signs = torch.tensor([[1.0, -1, 1], [-1, -1, 1], [1, 1, -1], [-1, 1, 1]])
    # Probabilities of exactly 0 and 1, and some so near that PyTorch bounds the derivative.
    edges = torch.tensor([0.0, 0, 0, 1, 1, 1, 1e-14, 1e-14, 1 - 2**-50, 1e-9, 0.5]).reshape(11, 1)
    edge_bits = torch.tensor([0, 0.25, 1, 0, 0.25, 1, 0, 1, 1, 1, 0.25]).reshape(11, 1)
    log_p, log_q = torch.log_softmax(torch.randn(4, 3), 1), torch.log_softmax(torch.randn(4, 3), 1)
    cases = {"weight": array(w)}
    for reduction in ("mean", "sum", "none"):
        r = {"reduction": reduction}
        cases[reduction] = {
            "cross_entropy": loss_case(lambda p, y: F.cross_entropy(p, y, **r), z, t),
            "cross_entropy_smoothed": loss_case(lambda p, y: F.cross_entropy(p, y, label_smoothing=0.1, **r), z, t),
            "cross_entropy_weighted": loss_case(lambda p, y: F.cross_entropy(p, y, weight=w, **r), z, t),
            "cross_entropy_all": loss_case(lambda p, y: F.cross_entropy(p, y, weight=w, label_smoothing=0.2, **r), z, ignored),
            "cross_entropy_ignored": loss_case(lambda p, y: F.cross_entropy(p, y, **r), z, ignored),
            "cross_entropy_probabilities": loss_case(lambda p, y: F.cross_entropy(p, y, weight=w, label_smoothing=0.1, **r), z, probabilities),
            "cross_entropy_images": loss_case(lambda p, y: F.cross_entropy(p, y, **r), images, labels),
            "nll_loss": loss_case(lambda p, y: F.nll_loss(p, y, **r), torch.log_softmax(z, 1), t),
            "nll_loss_all": loss_case(lambda p, y: F.nll_loss(p, y, weight=w, **r), torch.log_softmax(z, 1), ignored),
            "mse_loss": loss_case(lambda p, y: F.mse_loss(p, y, **r), a, b),
            "l1_loss": loss_case(lambda p, y: F.l1_loss(p, y, **r), a, b),
            "huber_loss": loss_case(lambda p, y: F.huber_loss(p, y, delta=0.7, **r), a, b),
            "smooth_l1_loss": loss_case(lambda p, y: F.smooth_l1_loss(p, y, beta=0.7, **r), a, b),
            "binary_cross_entropy_with_logits": loss_case(lambda p, y: F.binary_cross_entropy_with_logits(p, y, **r), a, bits),
            "binary_cross_entropy_with_logits_weighted": loss_case(
                lambda p, y: F.binary_cross_entropy_with_logits(p, y, weight=w[:3], pos_weight=w[1:4], **r), a, bits),
            "binary_cross_entropy": loss_case(lambda p, y: F.binary_cross_entropy(p, y, **r), torch.sigmoid(a), bits),
            "binary_cross_entropy_edges": loss_case(lambda p, y: F.binary_cross_entropy(p, y, **r), edges, edge_bits),
            "kl_div": loss_case(lambda p, y: F.kl_div(p, y, **r), log_p, log_q.exp()),
            "kl_div_log": loss_case(lambda p, y: F.kl_div(p, y, log_target=True, **r), log_p, log_q),
            "hinge_loss": loss_case(lambda p, y: {"mean": torch.mean, "sum": torch.sum, "none": lambda v: v}[reduction](
                torch.clamp(1 - p * y, min=0)), a, signs),
            "soft_margin_loss": loss_case(lambda p, y: F.soft_margin_loss(p, y, **r), a, signs),
        }
    write("losses.json", cases)


def gold_mlp():
    """Ten steps of SGD: the losses, and the gradients of the first step."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8),
                                torch.nn.ReLU(), torch.nn.Linear(8, 4))
    x, t = torch.randn(16, 3, 4), torch.randint(0, 4, (16,))
    start = {n: array(p.detach()) for n, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses, gradients = [], None
    for _ in range(10):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), t)
        loss.backward()
        gradients = gradients or {n: array(p.grad.clone()) for n, p in model.named_parameters()}
        optimizer.step()
        losses.append(loss.item())
    write("gold_mlp.json", {"x": array(x), "target": array(t), "start": start, "losses": losses, "gradients": gradients,
                            "logits": array(model(x).detach())})


def state_dict():
    """Weights that PyTorch wrote, with an input and its output."""
    torch.set_default_dtype(torch.float32)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU(),
                                torch.nn.Linear(5, 3, bias=False))
    x = torch.randn(4, 2, 3)
    model(x)
    model.eval()
    save_file(model.state_dict(), HERE / "mlp.safetensors")
    write("mlp.json", {"x": array(x), "y": array(model(x).detach())})
    torch.set_default_dtype(torch.float64)


layers()
activations()
losses()
gold_mlp()
state_dict()
