"""What scripts/fixtures*.py share: random models, and what PyTorch makes of them."""
import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from torch.overrides import TorchFunctionMode
from transformers.generation import GenerationMixin
from transformers.pytorch_utils import Conv1D

if not hasattr(GenerationMixin, '_prepare_encoder_decoder_kwargs_for_generation'):
    # PEFT 0.21 asks for the name that transformers had given this before.
    GenerationMixin._prepare_encoder_decoder_kwargs_for_generation = GenerationMixin._prepare_text_encoder_decoder_kwargs_for_generation


def stir(model):
    """Makes every weight matter: biases and norms are random as well."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def load(folder, dtype=torch.float32):
    [architecture] = json.loads((Path(folder) / 'config.json').read_text())['architectures']
    return getattr(transformers, architecture).from_pretrained(folder, dtype=dtype, attn_implementation='eager').eval()


def random_rows(generator, vocabulary, rows, length):
    """Ids and their mask: the first row is full, the last is padded on the left, those between on the right."""
    ids = torch.randint(vocabulary, (rows, length), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(1, rows - 1):
        mask[row, length - 2 * row - 1:] = 0
    mask[rows - 1, :3] = 0
    return ids, mask


def golden(model, batch, kinds=(Conv1D, torch.nn.Linear, torch.nn.Conv2d)):
    """Loss, logits, and the input and the gradient of the output of every module of these kinds."""
    inputs, outputs = {}, {}

    def tap(name):
        def hook(module, arguments, output):
            output.retain_grad()
            inputs[name], outputs[name] = arguments[0].detach().clone(), output
        return hook

    hooks = [module.register_forward_hook(tap(name)) for name, module in model.named_modules() if isinstance(module, kinds)]
    result = model(**batch)
    result.loss.backward()
    for hook in hooks:
        hook.remove()
    return ({'loss': result.loss.detach().reshape(1), 'logits': result.logits.detach()}
            | {f'x.{name}': x for name, x in inputs.items()}
            | {f'grad.{name}': output.grad for name, output in outputs.items()})


def golden_embeddings(model, batch):
    """The ids that every embedding is given, and the gradient of its output."""
    return {name: tensor for name, tensor in golden(model, batch, torch.nn.Embedding).items() if '.' in name}


def write(tensors, path):
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path)


class InFloat64(TorchFunctionMode):
    """Has what asks for float32, whatever the model's dtype, such as some softmaxes and norms, sum in float64."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        if function is torch.Tensor.float:
            function = torch.Tensor.double
        exact = [torch.float64 if value is torch.float32 else value for value in arguments]
        return function(*exact, **{name: torch.float64 if value is torch.float32 else value for name, value in (options or {}).items()})


def noise(tensors, model, batch):
    """Of float32 against float64, relative, and the tensor where it is largest."""
    with InFloat64():
        exact = golden(model.double(), {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in batch.items()})
    return max(((tensors[name].double() - exact[name]).norm().item() / exact[name].norm().item(), name) for name in exact)


def make_golden(folder, model, batch, embeddings=False):
    """Writes a batch beside a model, and what the model makes of it."""
    tensors = golden(model, batch)
    write(batch, folder / 'batch.safetensors')
    write(tensors, folder / 'golden.safetensors')
    if embeddings:
        write(golden_embeddings(model, batch), folder / 'golden-embeddings.safetensors')
    largest, name = noise(tensors, model, batch)
    print(f'{folder.name}: float32 against float64, relative: {largest:.1e} ({name})')
