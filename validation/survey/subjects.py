"""What is held against which rule: the optimizers of each library that have a counterpart here."""

from __future__ import annotations

from optimkit.validation.survey.array_subjects import (
    autograd_subjects,
    chainer_subjects,
    jax_subjects,
    mlx_subjects,
    optax_subjects,
    scikit_learn_subjects,
    thinc_subjects,
    tinygrad_subjects,
)
from optimkit.validation.survey.keras_subjects import keras_subjects, tensorflow_subjects
from optimkit.validation.survey.torch_subjects import (
    bitsandbytes_subjects,
    deepspeed_subjects,
    pytorch_optimizer_subjects,
    timm_subjects,
    torch_subjects,
    transformers_subjects,
)

SUBJECTS = tuple(
    subject
    for table in (
        torch_subjects,
        optax_subjects,
        keras_subjects,
        tensorflow_subjects,
        jax_subjects,
        mlx_subjects,
        tinygrad_subjects,
        thinc_subjects,
        transformers_subjects,
        timm_subjects,
        pytorch_optimizer_subjects,
        deepspeed_subjects,
        bitsandbytes_subjects,
        scikit_learn_subjects,
        autograd_subjects,
        chainer_subjects,
    )
    for subject in table()
)
