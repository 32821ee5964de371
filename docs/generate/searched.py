"""What people search for, and the pages that answer it in other words.

The search of the pages finds titles and words that stand there, and wants all of them. These are
added to its index when pages are built: a phrase as a whole comes first, its words are found too.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging

SEARCHED = {
    "install": "pip install; extras; requirements; offline",
    "start/2_training": "warmup; gradient clipping; training loop; weight averaging",
    "start/3_arrays": "exclude bias from weight decay; no bias decay; no weight decay for bias;"
    " param_groups; parameter groups; layer-wise learning rate",
    "optimizers/RMSprop": "RMSpropGraves",
    "optimizers/AdamW": "weight decay; decoupled weight decay; decay",
    "optimizers/Adam": "amsgrad; adam",
    "optimizers/LBFGS": "closure; lbfgs closure; line search; quasi-newton",
    "optimizers/Muon": "matrices; orthogonalized momentum",
    "optimizers/SparseAdam": "sparse gradients; embeddings",
    "optimizers/Adafactor": "memory of the state; low memory",
    "schedulers/index": "learning rate schedule; lr schedule; lr scheduler; learning rate decay",
    "schedulers/LinearLR": "warmup; linear warmup",
    "schedulers/SequentialLR": "warmup; warmup cosine; cosine with warmup; warmup then decay",
    "schedulers/CosineAnnealingLR": "cosine; cosine decay; cosine annealing",
    "schedulers/OneCycleLR": "one cycle; 1cycle",
    "schedulers/ReduceLROnPlateau": "reduce on plateau; plateau",
    "reference/optimkit.swa_utils.AveragedModel": "ema; exponential moving average; swa;"
    " weight averaging; polyak",
    "reference/optimkit.clip_grad_norm_": "gradient clipping; clip; clip gradients; global norm",
    "gallery/methods/muon": "two optimizers; several optimizers; optimizer for some layers",
    "gallery/methods/your_own_rule": "own rule; custom kernel; fused kernel",
    "gallery/models/sparse_embeddings": "sparse embeddings; embeddings",
    "gallery/training/averages": "ema; exponential moving average; weight averaging",
    "gallery/training/add_a_layer": "add layer; add parameters; add_param_group; grow the network",
    "gallery/training/groups_and_freezing": "freeze; unfreeze; fine-tuning; parameter groups",
    "gallery/training/resume": "resume; resume training; continue training; interrupted",
    "gallery/libraries/gradients_by_jax": "jax",
    "coming_from/handwritten": "bias correction; eps inside root; epsilon; adam from scratch",
    "coming_from/torch": "pytorch; torch.optim; drop-in",
    "coming_from/keras": "keras; tensorflow",
    "coming_from/optax": "optax; gradient transformation",
    "coming_from/scipy": "scipy minimize; scipy.optimize",
    "guides/accumulation": "gradient accumulation; micro batch; skip nan gradients; nan;"
    " inf; loss scaling; GradScaler",
    "guides/add_an_optimizer": "custom optimizer; own optimizer; write an optimizer;"
    " write optimizer; implement an optimizer; own rule; limits",
    "guides/checkpoints": "state_dict; load_state_dict; save checkpoint; save optimizer; resume;"
    " save and load; safetensors; pickle",
    "guides/command_line": "cli; command line; validate; explain",
    "guides/compare": "compare; verify my optimizer; is it adam; cs231n; not tried",
    "guides/cuda": "gpu; cuda; cupy; cuda graph",
    "guides/differentiable": "meta-learning; hypergradient; differentiable optimizer",
    "guides/engines": "numba; engine; which engine is used; use_engine; jit; compile; threads;"
    " OPTIMKIT_ENGINE; OPTIMKIT_NUM_THREADS",
    "guides/errors": "error messages; error grads; ValueError; TypeError",
    "guides/functional": "jax; functional; pure functions; pytree; vmap; jit",
    "guides/numerics": "deterministic; reproducible; reproducibility; bitwise; bit-identical;"
    " bits differ; reproducible results;"
    " float16; bfloat16; half precision; master weights; bfloat16 master weights; mixed precision",
    "guides/torch": "autocast; mixed precision; amp; GradScaler; distributed; FSDP; DDP; dtensor;"
    " lightning; accelerate",
    "evidence/benchmark": "benchmark; benchmarks; speed; fast; performance; timing; how fast;"
    " slow; memory of a step; workload; shapes",
    "evidence/differences": "differences from torch; difference to pytorch",
    "evidence/which_adam": "which adam; eps inside root; adam in other libraries",
}


def phrases(page: str) -> list[str]:
    """What a page is found by besides its words."""
    return [phrase.strip() for phrase in SEARCHED.get(page, "").split(";") if phrase]


def add(app: Any, doctree: Any) -> None:
    """Put the phrases of a page where the search looks, and nobody else."""
    app.env.note_dependency(__file__)
    if found := phrases(app.env.docname):
        entries = [("single", phrase, "", "main", None) for phrase in found]
        doctree += addnodes.index(entries=entries)
        words = sorted({word for phrase in found for word in re.findall(r"\w+", phrase)})
        doctree += nodes.meta(name="keywords", content=", ".join(words))


def check(app: Any, env: Any) -> None:
    """Warn of pages that are gone."""
    for page in sorted({*SEARCHED} - env.found_docs):
        logging.getLogger(__name__).warning("%s is searched for, and there is no such page", page)


def setup(app: Any) -> dict[str, bool]:
    """Add phrases as pages are read."""
    app.connect("doctree-read", add)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
