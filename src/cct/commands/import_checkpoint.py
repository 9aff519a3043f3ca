"""Turn an official PyTorch checkpoint into a .keras model. Every tensor is mapped; no code in the file is executed."""

import argparse
from pathlib import Path

from cct import params
from cct.commands.arguments import add_size
from cct.models.architectures import ModelParams, resolve_architecture
from cct.runtime.backend import configure_backend
from cct.runtime.params import CPU_DEFAULTS

# Mean and standard deviation of the channels in the authors' configs, for pixels from 0 to 1.
STATISTICS = {
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    "cifar100": ([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]),
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_size(parser)
    parser.add_argument("file", type=Path, help="a .pth file")
    parser.add_argument("--model", required=True, help="its name, as cct models lists it: cct_7_3x1")
    parser.add_argument("--positional-embedding", choices=["learnable", "sinusoidal", "none"], default="learnable")
    parser.add_argument("--standardize", choices=list(STATISTICS), default="cifar10", help="default: cifar10")
    parser.add_argument("--out", type=Path, help="default: FILE with the ending .keras")


def main(arguments: argparse.Namespace) -> None:
    given = {"name": arguments.model, "positional_embedding": arguments.positional_embedding}
    model_params = params.parse(ModelParams, given, where=Path("the command line"))
    mean, std = STATISTICS[arguments.standardize]
    configure_backend(CPU_DEFAULTS, seed=0)
    from cct.models.build import build_model
    from cct.models.saving import save_model
    from cct.models.torch_import import import_weights, read_torch

    tensors = read_torch(arguments.file)
    architecture, shape = resolve_architecture(model_params), tuple(arguments.image)
    model = build_model(architecture, image_shape=shape, classes=arguments.classes, mean=mean, std=std)
    import_weights(tensors, model, architecture, image_shape=shape)
    out = arguments.out or arguments.file.with_suffix(".keras")
    save_model(model, out)
    print(f"{out}: {arguments.model}, {model.count_params():,} parameters, {len(tensors)} tensors imported")
